"""From a quantized model to a .tflite whose layers run on the MLTQ operators."""
