"""What the documentation takes from the sources: the API from the protos, and tables from the modules that decide."""
