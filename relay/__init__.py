"""The call relay: browsers call each other through a server-side WebRTC endpoint."""
