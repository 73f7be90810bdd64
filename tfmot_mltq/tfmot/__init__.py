"""Adapter to TensorFlow Model Optimization, for tf_keras models."""
