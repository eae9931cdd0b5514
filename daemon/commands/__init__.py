"""The commands: each asks, looks or starts, and puts what it found into words."""
