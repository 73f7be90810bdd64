"""Which layers are quantized, and where int8 tensors lie: rules on graphs, without a framework."""
