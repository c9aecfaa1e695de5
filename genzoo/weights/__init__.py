"""Safetensors only: where weights come from, verify, read, write."""
