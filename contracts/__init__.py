"""What is made of the protos: the generators, the compatibility check, and the pages of the API's reference."""
