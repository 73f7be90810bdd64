"""Whether a converted model computes what the quantized Keras model computes, and where not."""
