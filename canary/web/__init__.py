"""The status API: what every Canary does, why, and what may be asked of it.

`service.py` says what it needs, `api.py` puts the app together, `routes/` has a file for each part
of the API, `views.py` the shapes of its answers and `problems.py` of its errors. `events.py`
streams, `serve.py` runs the app in the event loop that everything else runs in.

It reads caches and records and writes nothing but the intent annotation: what happens to a release
is decided in `core` alone. FastAPI is imported by `api` and `serve` only, so that commands without
a server don't pay for it.
"""
