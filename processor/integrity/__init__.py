"""Drift between the stores: what one of them has lost, or has left over; found, and repaired."""
