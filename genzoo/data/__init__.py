"""Datasets, and fast deterministic batches of them."""
