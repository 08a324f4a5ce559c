"""How the relay is run: example files, and `deploy.cluster`, several servers on this machine."""
