"""The doors: how a request comes in, and how its answer goes out, by each protocol."""
