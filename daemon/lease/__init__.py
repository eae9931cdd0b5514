"""Which of several daemons works on a hot folder, and which stand by."""
