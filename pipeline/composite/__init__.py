"""An edit brought back to its original: aligned, toned, and laid only where it changed something."""
