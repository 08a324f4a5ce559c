"""Calls of two: the state table, invitations, negotiation, what happens in a call, and how it ends."""
