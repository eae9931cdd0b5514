"""What is said of all that happens: to people, to terminals, to the journal."""
