"""Session descriptions (RFC 8866): read into a model, checked against each other, rewritten with the relay's own transport."""
