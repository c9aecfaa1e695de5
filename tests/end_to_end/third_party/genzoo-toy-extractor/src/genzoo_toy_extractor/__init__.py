"""`toy-filters`, the smallest complete extractor."""
