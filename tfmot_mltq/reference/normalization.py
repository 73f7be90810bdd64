"""NumPy twin of MLTQ_NORMALIZATION, from the specification in
tflite_ops/core/mltq_normalization_format.h, not from the C code.
"""

from __future__ import annotations

import numpy as np

from tfmot_mltq.packing.normalization import EPSILON_BITS, PackedNormalization


def run_normalization(packed: PackedNormalization, x: np.ndarray) -> np.ndarray:
    """Normalises an int8 tensor and returns the int8 output."""
    grouping = packed.grouping
    q = x.astype(np.int64).reshape(grouping.shape)
    axes = (1, 3)
    if packed.subtract_mean:
        d = grouping.group_size * q - q.sum(axes, keepdims=True)
        v = grouping.group_size * (q * q).sum(axes) - q.sum(axes) ** 2
    else:
        d = q - packed.input_zero_point
        v = (d * d).sum(axes)
    roots = [_reciprocal_root((int(s) << EPSILON_BITS) + packed.epsilon) for s in v.ravel()]
    root, j = (np.array(part, np.int64).reshape(grouping.outer, 1, grouping.groups, 1)
               for part in zip(*roots, strict=True))  # fmt: skip
    z = ((d * root + (1 << (3 + j))) >> (4 + j)).ravel()
    place = np.arange(grouping.size) % packed.gains.size
    gains, offsets = (table.astype(np.int64)[place] for table in (packed.gains, packed.offsets))
    total = z * gains + (offsets << 20) + (1 << (19 + packed.shift))
    outputs = (total >> (20 + packed.shift)) + packed.output_zero_point
    clipped = np.clip(outputs, packed.activation_min, packed.activation_max)
    return clipped.astype(np.int8).reshape(x.shape)


def _reciprocal_root(w: int) -> tuple[int, int]:
    """Y and j of the specification."""
    if w == 0:
        return 0, 16
    j = (w.bit_length() + 1) // 2
    m = (w << 32) >> (2 * j)
    y = 2290054618 - (m * 1308602639 >> 32)
    for _ in range(3):
        t = (y * y >> 32) * m >> 32
        y = y * ((3 << 28) - t) >> 29
    return y, j
