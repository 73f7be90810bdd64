"""Running converted models on this machine: TensorFlow Lite Micro and LiteRT."""
