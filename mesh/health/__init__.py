"""How each part of the platform is: what it does, what it waits for, since when, and how far it is behind."""
