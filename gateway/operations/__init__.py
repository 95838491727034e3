"""What becomes of commands: followed from the receipts, kept in memory and in Redis, looked up in the event log."""
