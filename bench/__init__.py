"""The media benchmark: what forwarding a packet costs here, and what it costs Janus, coturn and aiortc on the same traffic."""
