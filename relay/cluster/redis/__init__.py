"""The cluster on Redis: nodes with leases, claims, devices, and an inbox for each node."""
