"""The media plane: sockets, ICE, DTLS, SRTP and forwarding. It knows no users, no SDP and no database."""
