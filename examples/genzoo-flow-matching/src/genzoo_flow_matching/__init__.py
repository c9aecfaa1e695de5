"""Flow matching for genzoo: an objective, an architecture, a model and a callback."""
