"""The int8 values that a fused activation lets through."""

from __future__ import annotations

import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema

_REAL_RANGES = {
    schema.ActivationFunctionType.NONE: (-math.inf, math.inf),
    schema.ActivationFunctionType.RELU: (0.0, math.inf),
    schema.ActivationFunctionType.RELU6: (0.0, 6.0),
    schema.ActivationFunctionType.RELU_N1_TO_1: (-1.0, 1.0),
}


def activation_range(function: int, scale: float, zero_point: int) -> tuple[int, int]:
    """Smallest and largest int8 output.

    Args:
      function: ``ActivationFunctionType``.
      scale: Of the output.
      zero_point: Of the output.
    """

    def to_int8(value: float) -> int:
        if math.isinf(value):
            return 127 if value > 0 else -128
        steps = float(np.float32(value) / np.float32(scale))
        rounded = math.floor(abs(steps) + 0.5)  # halves away from zero, as TFLite rounds
        return int(np.clip(zero_point + math.copysign(rounded, steps), -128, 127))

    low, high = _REAL_RANGES[function]
    return to_int8(low), to_int8(high)
