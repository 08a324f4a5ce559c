"""Who may ask: origins and hosts, tokens and their keys, the embedding program, and what was revoked."""
