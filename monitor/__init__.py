"""The monitor: joins records and spans on the correlation ID, and tells each command's story."""
