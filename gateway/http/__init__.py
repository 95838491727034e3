"""The gateway's HTTP/1 server: it parses, bounds and orders requests, and knows nothing of what they ask for."""
