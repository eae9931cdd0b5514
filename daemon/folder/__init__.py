"""One thread for each hot folder: commands in, replies out."""
