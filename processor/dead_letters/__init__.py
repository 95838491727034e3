"""Dead letters and what the stores have parked, as somebody from outside lists them, redrives and discards them."""
