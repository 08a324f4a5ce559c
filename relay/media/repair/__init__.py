"""Lost packets: the history of sent packets, NACK and RTX."""
