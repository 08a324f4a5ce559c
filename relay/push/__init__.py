"""Web Push: word of a call for browsers that have no connection to the relay."""
