"""`vae`, a convolutional variational autoencoder (Kingma and Welling 2013), as a genzoo plugin."""
