"""Building MongoDB or Redis anew, from PostgreSQL and the log, into a database beside the live one."""
