"""What exists, and under which name. Nothing in this package imports torch."""
