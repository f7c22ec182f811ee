"""What should happen next.

Give it a canary and what is known about the world; it answers with actions as plain values.

Nothing in this folder reads a clock, opens a socket, sleeps or logs. The time is a fact like any
other and arrives in `Seen`. A change here that seems to need `await` is really a new question in
`actions.py` and a new answer in `engine/look.py`.

One idea carries the rest: *`status.run` says what is intended, and every tick first brings the
world to it.* A transition records the new intention and only then acts on it, so a process that
dies between any two effects leaves a record from which the next tick finishes the same work.
"""
