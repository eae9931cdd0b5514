"""Child processes, seen from the daemon."""
