"""How long an invitation takes to arrive, on a relay with many devices connected."""
