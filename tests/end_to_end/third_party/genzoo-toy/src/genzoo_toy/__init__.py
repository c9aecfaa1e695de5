"""`toy-gan`, the smallest complete genzoo plugin."""
