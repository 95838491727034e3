"""Services without one of their safeguards, so that a test can see whether `polystream verify` notices."""
