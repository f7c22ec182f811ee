"""`canary demo`: three versions of a small service, released on this machine before your eyes.

The real thing in small: local mode with a folder of its own, a real Envoy, real processes, and
200 requests a second all the time. Version 1 runs, a good version 2 is promoted through several
weights, and a version 3 that fails a tenth of its requests is taken back.
"""

from canary.app.demo.play import run_demo

__all__ = ["run_demo"]
