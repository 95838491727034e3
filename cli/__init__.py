"""The `polystream` command, and what it alone does: finding a platform, its terminal, the benchmark."""
