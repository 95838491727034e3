"""The stores: one module each, with its transaction, its inbox, and the errors that mean that it is down.

Beside each stands what its handlers share: `postgresql_*`, `mongodb_*` and `redis_*`. A lane imports only its own.
"""
