"""Which of several daemons on one hot folder leads, and which stand by."""
