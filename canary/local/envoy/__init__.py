"""The data plane of local mode: one real Envoy for all `Route` objects.

What kube-proxy and a mesh do in a cluster happens here. `Route` objects say how traffic is
split, `Process` objects say who can answer, and this package turns both into configuration:

    Route, Process  ->  config (pure)  ->  files  ->  Envoy  ->  admin  ->  Route.status

Envoy reads its configuration from files that are renamed into place, not from an xDS server.
Files need no gRPC in the controller, and they outlive it: Envoy goes on with what it has while
the controller is dead, and an Envoy that restarts on its own finds everything on disk. What an
xDS stream would tell us, whether Envoy took a change, is asked of its admin interface.

There are ten files at most. Each one that Envoy watches takes one of the 128 inotify instances
that Linux gives a user, and Envoy aborts when they are used up: a file for each Route and
cluster ends at 25 Routes. So route configurations are shared by Routes (`names.shard_of`), and
endpoints come with their clusters instead of by EDS. A change of weight touches only a route
configuration; a change of endpoints replaces the cluster, whose requests under way finish and
whose counters go on. Neither drains a listener or closes a user's connection.
"""
