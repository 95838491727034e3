"""The `polystream` command: one module a subcommand, what they show on the terminal, and the benchmark.

It finds the platform that runs on a data folder, as processes or in containers, and works on it.
"""
