"""What a quantized model costs, and what its sparsity can save."""
