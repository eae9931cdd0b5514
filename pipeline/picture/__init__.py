"""Pixels in and out: open, place on a canvas, bring back, save."""
