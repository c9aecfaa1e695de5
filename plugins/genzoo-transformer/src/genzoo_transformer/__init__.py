"""`transformer-gan`, `pixel-transformer` and the objective `autoregressive`, as a genzoo plugin."""
