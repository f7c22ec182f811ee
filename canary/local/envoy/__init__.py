"""The data plane of local mode: one real Envoy for all `Route` objects.

What kube-proxy and a mesh do in a cluster happens here. `Route` objects say how traffic is
split, `Process` objects say who can answer, and this package turns both into configuration:

    Route, Process  ->  config (pure)  ->  files  ->  Envoy  ->  admin  ->  Route.status

Envoy reads its configuration from files that are renamed into place, not from an xDS server.
Files need no gRPC in the controller, and they outlive it: Envoy goes on with what it has while
the controller is dead, and an Envoy that restarts on its own finds everything on disk. What an
xDS stream would tell us, whether Envoy took a change, is asked of its admin interface.

A change of weight touches only a route configuration, a change of endpoints only an endpoint
file: no listener is drained and no connection is closed for either.
"""
