"""The tables of recordings: rows, consents and uses, and how long they are kept."""
