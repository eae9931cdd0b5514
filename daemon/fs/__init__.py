"""The safe file system under a hot folder: no link is followed, a file is whole or absent."""
