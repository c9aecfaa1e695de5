"""A generative adversarial network with a transformer generator, for genzoo."""
