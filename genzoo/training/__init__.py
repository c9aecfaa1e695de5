"""One loop for any objective."""
