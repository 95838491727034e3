"""What the services share at run time: the catalog, Kafka's topics, records and codec, operations, errors, telemetry.

Also settings, and what the stores and the dead-letter topic hold. It imports no other package of the platform.
"""
