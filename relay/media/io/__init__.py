"""The thin edges of the media plane: sockets, DTLS and SRTP."""
