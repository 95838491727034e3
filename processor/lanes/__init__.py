"""The loop from Kafka to a store and back."""
