"""What is not plain UDP ends here: the shared TCP port, TLS, ICE over TCP, TURN, and the tunnel to the media workers."""
