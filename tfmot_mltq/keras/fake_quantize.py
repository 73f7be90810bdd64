"""Int8 fake quantization of a tensor on each backend."""

from __future__ import annotations

import keras
from keras import ops

from tfmot_mltq.helpers.framework_types import Tensor
from tfmot_mltq.mathematics.decomposition import straight_through


def fake_quantize(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Rounds to the nearest of 256 steps from ``low`` to ``high``, moved so that one step is 0.

    The gradient is 1 inside the range and 0 outside, and none reaches the range. This is what
    TFLite computes (Jacob et al. 2018, eq. 12 and section 3.1).

    Args:
      values: float32 tensor.
      low: Scalar, at most 0.
      high: Scalar, at least 0 and above ``low``.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # The operation from which TensorFlow's converter reads ranges.
        return tf.quantization.fake_quant_with_min_max_vars(values, low, high)
    # Before a batch has set the range both ends are 0, and the caller discards the result.
    step = ops.maximum((high - low) / 255.0, 1e-30)
    smallest = -ops.floor(0.5 - low / step)
    largest = smallest + 255.0
    if keras.backend.backend() == "torch":
        from tfmot_mltq.keras.fake_quantize_torch import FakeQuantizeTorch

        return FakeQuantizeTorch.apply(values, step, smallest, largest)
    clamped = ops.minimum(ops.maximum(values, smallest * step), largest * step)
    quantized = ops.round(clamped / step) * step
    return straight_through(clamped, quantized, ops.stop_gradient)
