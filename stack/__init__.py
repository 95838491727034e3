"""What runs on one machine: the engines, the supervisor, the edge, and what they need: ports, probes, provisioning."""
