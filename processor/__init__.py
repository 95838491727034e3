"""Applies commands: a lane reads them from Kafka, has its store apply them, and answers with receipts."""
