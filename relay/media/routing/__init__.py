"""Which transport a packet goes to, and the forwarding path itself."""
