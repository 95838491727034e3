"""REST for the API: paths, JSON and query parameters become the requests that the protos declare."""
