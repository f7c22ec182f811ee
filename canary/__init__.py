"""`canary` rolls new versions out a little at a time, watches them, and promotes or takes back.

The program is one loop: *look at the cluster, decide what should happen, do it, repeat.*
`engine` looks and does, `core` decides, everything else is vocabulary. Reading order:

1.  `crd`      what people write, and the status in which a run is remembered
2.  `core`     what should happen next (pure; start with `core/decide.py`)
3.  `judge`    what the numbers mean (pure)
4.  `cluster`  the port to the place where objects live, and the embedded one
5.  `routers`, `targets`, `metrics`, `hooks`   one file for each thing we can speak to
6.  `engine`   the loop, the schedule, what is told and what is written down
7.  `web`, `local`, `loadtest`   the status API; one machine instead of a cluster; load
8.  `app`, `cli`   everything put together, and the commands

Arrows point down only, and `lint-imports` checks them:

    cli -> app -> web | local | loadtest -> engine -> routers | targets | metrics | hooks
        -> cluster | http | core -> judge -> crd -> settings -> errors
"""

__version__ = "0.1.0"
