"""The `polystream` command: one module a command."""
