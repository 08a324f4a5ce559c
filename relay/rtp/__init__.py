"""RTP and RTCP as bytes: headers, reports, sequence numbers, and where a key frame begins. Knows no sockets and no peers."""
