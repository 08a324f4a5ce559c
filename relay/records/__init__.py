"""What is on record, as plain data: what the database reads and writes, and what the API shows."""
