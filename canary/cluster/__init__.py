"""The only code that speaks to an API server, real or embedded.

Everybody else sees `port.Cluster`: plain dicts go in and come out, in the shape that
Kubernetes gives them, and errors are those of `canary.errors`.
"""
