"""What is released: workloads, the primaries copied from them, and their readiness."""
