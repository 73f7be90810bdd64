"""The mathematics of quantization: planes, activation levels, and int8 as TFLite computes it.

Pure functions over arrays of any library; nothing here knows a Keras.
"""
