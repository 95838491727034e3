"""Applies commands: a lane reads them from Kafka, has its store apply them, and answers with receipts.

It also migrates the stores before the lanes start, writes the fixtures, and checks the stores' integrity.
"""
