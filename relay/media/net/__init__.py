"""Sockets, recvmmsg and sendmmsg, DTLS and SRTP: the only place with cffi and with private names of libraries."""
