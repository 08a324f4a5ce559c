"""A TURN server (RFC 8656) that relays to this relay's own media and nowhere else. Sans-IO: begin with `server.py`."""
