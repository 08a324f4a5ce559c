"""What the commands of `python -m relay` do."""
