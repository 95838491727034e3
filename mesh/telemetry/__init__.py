"""Logs and spans: what is recorded, under which names, and how much of it."""
