"""`polystream verify`: a platform of its own under load and faults, and the check of all that it has promised."""
