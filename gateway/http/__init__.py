"""The gateway's HTTP/1 server: it parses, bounds and orders requests, and knows nothing of what they ask for.

`server` has the port, what all connections together may hold, and the clock. `connection` is one client: what comes in
goes through `parser`, by the rules in `heads`, and becomes a `request` in an `exchange`, which its `Door` answers. What
goes out is ordered in `sending` and written by `answers`. `relay` passes HTTP/2 on to the gRPC server. Every bound is
in `limits`.
"""
