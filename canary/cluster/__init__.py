"""The only code that speaks to an API server, real or embedded.

Everybody else sees `port.Cluster`: plain dicts go in and come out, in the shape that
Kubernetes gives them, and errors are those of `canary.errors`.

Read `port` first. `cache` and `lease` work over any implementation of it. `kubernetes` is the real
one: `login` and `session` say who we are, `connection` makes requests at the pace that `limiter`
allows, `refusal` words what the server refuses, and `discovery` knows where a kind is. `embedded`
is the one within this process: `merge`, `fields`, `ownership`, `apply` and `rules` say what becomes
of an object and are pure; `store` holds the objects, `history` the changes for those who watch,
`disk` and `filelock` the file underneath, and `commits` is how a write gets through all of them.
"""
