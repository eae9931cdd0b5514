"""The only mover and writer of job files."""
