"""The one thread that decides, and what it is watched by."""
