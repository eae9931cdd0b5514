"""What the bytes of a file say of it, before any picture library opens it."""
