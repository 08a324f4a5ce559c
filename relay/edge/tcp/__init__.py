"""The shared TCP port: one listener for HTTP, ICE over TCP and TURN, told apart by their first bytes."""
