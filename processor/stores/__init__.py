"""The stores: one module each, with its transaction, its inbox, and the errors that mean that it is down."""
