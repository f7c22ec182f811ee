"""Local mode: a real proxy and real processes on this machine, in the place of a cluster."""
