"""One module a command of `polystream`: what it takes, and what it does."""
