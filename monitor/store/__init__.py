"""Where events and spans are kept: one port, one adapter an engine."""
