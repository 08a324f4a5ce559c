"""Settings in groups, a module each; `all` has them together and reads them from the environment."""
