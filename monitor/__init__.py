"""The monitor: joins records and spans on the correlation ID, and tells each command's story.

It keeps both for a while, passes the spans on to Jaeger, and serves the dashboard and the API's documentation.
"""
