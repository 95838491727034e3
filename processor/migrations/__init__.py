"""The stores' schemas, brought up to date before the lanes start."""
