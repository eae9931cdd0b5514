"""What lies in an inbox and what it means: from a listing to the jobs that are ready."""
