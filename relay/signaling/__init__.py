"""The signaling plane: who may call whom, and the life of each call. It sees no packets."""
