"""Starts the engines and services of one machine, keeps them running, and stops them."""
