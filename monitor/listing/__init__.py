"""Searching the event log: filters after AIP-160, orders after AIP-132, and what each store makes of them."""
