"""Projects for microcontrollers, from .tflite files."""
