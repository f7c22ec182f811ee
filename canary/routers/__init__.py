"""How each mesh or ingress splits traffic. Nothing in this folder talks to a cluster."""
