"""The front's sockets."""
