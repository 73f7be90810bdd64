"""The adapter for Keras 3 models, on any backend."""
