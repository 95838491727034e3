"""The metrics that the monitor is sent: received by OTLP, kept for a day within bounds, read as rates and quantiles."""
