-- The schema registry's own database, made with the server at its first start.
CREATE DATABASE registry;
