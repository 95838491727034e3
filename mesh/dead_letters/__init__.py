"""The dead-letter topic: what is on it, whether it may be sent again, and sending it again."""
