"""A real Kubernetes cluster for tests: no container engine, nothing installed, gone with its owner.

Reading order:

1.  `network`       a network namespace, so that pods have addresses and nobody else sees them
2.  `process`       a program that is started, watched, killed and started again
3.  `cache`, `build`, `downloads`   where the programs come from
4.  `credentials`, `controlplane`, `audit`   etcd, API server, controllers; who asked them what
5.  `node`          a node whose pods are processes (a program of its own)
6.  `api`           a client for tests, with plain dicts
7.  `traefik`, `prometheus`, `crds`   what a mesh under test needs
8.  `cluster`       all of it together; `fixtures` for pytest, `__main__` for people

Everything here starts in the namespace and dies with the process that started it, even when that is
killed: nothing has to be tidied up after a crash.
"""
