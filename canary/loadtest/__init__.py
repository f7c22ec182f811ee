"""Requests at the rate that was asked for, whatever the service makes of them.

`plan` says what to send and when, `load` sends it over `http1`, `report` is what came of
it and `show` tells people. `hey` reads the command lines found in manifests, and `runner`
carries them out for the `load-test` webhooks.

The rate is open loop: the next request starts when it is due and not when the last one
is answered, and a latency counts from the moment the request was due. A service that
stalls is therefore seen to stall, once for every request it kept waiting.
"""
