"""A cluster on this machine, for trying it out and for measuring: nodes, Redis, PostgreSQL, and a balancer before them."""
