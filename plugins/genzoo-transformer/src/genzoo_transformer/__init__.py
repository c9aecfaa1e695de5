"""`transformer-gan`, a GAN whose generator is a transformer over patches, as a genzoo plugin."""
