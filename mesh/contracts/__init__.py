"""What is generated from the protos, and how."""
