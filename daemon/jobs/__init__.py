"""Claimed jobs: from the claim through pixel workers and editor to their filing."""
