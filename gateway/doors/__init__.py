"""The doors of the gateway: how a call comes in and its answer goes out, over gRPC, REST and gRPC-Web."""
