"""The query API of Jaeger, read-only, over the monitor's own spans."""
