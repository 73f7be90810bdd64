"""Dilated convolutions as TensorFlow's converter is to find them.

``tf.nn.convolution`` writes a dilation as SPACE_TO_BATCH_ND, a convolution and BATCH_TO_SPACE_ND,
which TFLite's converter makes one operator again where it knows the pattern. It does not where two
convolutions read the same tensor, which then share the first operator. The operations below have
the dilation as an attribute.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfmot_mltq.helpers.framework_types import Layer


def is_dilated(layer: Layer) -> bool:
    """Whether a convolution over one or two axes, channels last, is dilated."""
    rates = np.atleast_1d(getattr(layer, "dilation_rate", 1))
    is_plain = getattr(layer, "data_format", None) == "channels_last" and len(rates) <= 2
    return is_plain and bool((rates > 1).any())


def dilated_convolution(
    inputs: tf.Tensor, kernel: tf.Tensor, layer: Layer, is_depthwise: bool
) -> tf.Tensor:
    """The convolution of a layer, without its bias and activation.

    Args:
      inputs: Shape (batch, [height,] width, channels).
      kernel: Keras kernel of the layer.
      layer: Convolution of Keras or tf_keras for which ``is_dilated`` holds.
      is_depthwise: Whether each channel has filters of its own.
    """
    rates, padding = tuple(np.atleast_1d(layer.dilation_rate)), layer.padding
    if padding == "causal":
        before = rates[0] * (kernel.shape[0] - 1)
        inputs, padding = tf.pad(inputs, [[0, 0], [before, 0], [0, 0]]), "valid"
    is_1d = inputs.shape.rank == 3
    if is_1d:
        inputs, kernel, rates = tf.expand_dims(inputs, 1), tf.expand_dims(kernel, 0), (1, *rates)
    options = {
        "strides": [1, 1, 1, 1],
        "padding": padding.upper(),
        "dilations": [1, *map(int, rates), 1],
    }
    operation = tf.raw_ops.DepthwiseConv2dNative if is_depthwise else tf.raw_ops.Conv2D
    outputs = operation(input=inputs, filter=kernel, **options)
    return tf.squeeze(outputs, 1) if is_1d else outputs
