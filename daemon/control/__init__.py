"""How other processes ask the daemon."""
