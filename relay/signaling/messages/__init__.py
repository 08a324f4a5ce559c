"""The messages on the WebSocket, as docs/protocol.md lists them: one frozen struct each.

`incoming` is what a client sends, `outgoing` what the server sends. Names and values on the wire are a contract with existing
clients.
"""
