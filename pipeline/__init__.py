"""An image and an instruction become an edited image."""
