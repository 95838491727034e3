"""What to do about an error of each engine: one table a client, and one function that asks it.

A client that meets an error asks here, and nowhere else decides by a code. No module imports another's driver.
"""
