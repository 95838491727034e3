"""What runs the platform on one machine: engines, supervisor, the edge's process, ports, probes, preparations."""
