"""`dcgan`, the deep convolutional GAN of Radford et al. 2015, as a genzoo plugin."""
