"""An edit brought back to its original: aligned, toned, laid only where it changed something."""
