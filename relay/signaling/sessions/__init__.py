"""Negotiated transports."""
