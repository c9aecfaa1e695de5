"""`mlp-gan`, the fully connected GAN of Goodfellow et al. 2014, as a genzoo plugin."""
