"""What a model is worth: features, metrics, and the protocol that turns them into figures."""
