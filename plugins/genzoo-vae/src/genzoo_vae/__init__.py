"""A convolutional variational autoencoder for genzoo."""
