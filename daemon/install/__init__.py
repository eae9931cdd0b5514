"""How the service comes onto a machine, and leaves it again: one list of steps, each done once."""
