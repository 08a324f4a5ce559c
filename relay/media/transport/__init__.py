"""One transport: ICE-lite, path validation, and what is known of one peer and its media."""
