"""The search for the highest sparsity at which a model is still good enough."""
