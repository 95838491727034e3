"""The gateway: request in, acknowledgement out; queries; operations."""
