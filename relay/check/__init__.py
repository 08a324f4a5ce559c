"""`python -m relay check`: which ways calls get through from this machine to a relay."""
