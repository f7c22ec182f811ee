"""A node whose pods are processes: `python -m tests.cluster.harness.node settings.json`.

It does what a kubelet does, as far as a controller or a proxy can tell: statuses, reasons, probes,
restarts and deletion are those of a real node, in the same order and with honest timestamps.

1.  `settings`     what it is told at the start, and which program an image means
2.  `status`       what is said of a pod (pure)
3.  `environment`, `volumes`   what a container is given
4.  `probes`, `container`, `pod`   one process, watched; some of them, born and buried together
5.  `kubelet`      the node itself: registers, binds, keeps up with the API server

What differs from a real node: a container's own `command` is used only where the program says so
(the files of its image aren't here), nothing limits cpu or memory, ConfigMaps in volumes stay as
they were at the start, and a crash is waited for 1 s, 2 s, 4 s … instead of 10 s, 20 s, 40 s ….
"""
