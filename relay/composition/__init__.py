"""How the relay is put together: a function per plane, each of which takes its settings and what it stands on."""
