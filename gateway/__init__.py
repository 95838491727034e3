"""The gateway: takes requests, sends commands to Kafka, answers queries from the stores, and follows operations."""
