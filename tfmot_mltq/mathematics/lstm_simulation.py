"""How TFLite's int8 LSTM is simulated in training: the mathematics, without a framework.

The operator UNIDIRECTIONAL_SEQUENCE_LSTM has int8 inputs, weights and hidden state. Gates are
int16: sums in steps of 2^-12, which the functions take, and their results in steps of 2^-15. The
cell state is int16 in steps that are a power of two (TensorFlow Lite Micro, kernels/lstm_eval.h).
As in `decomposition`, ``xp`` is a NumPy-like namespace, and one text serves every framework.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tfmot_mltq.helpers.framework_types import Array, ArrayNamespace
from tfmot_mltq.mathematics.decomposition import straight_through
from tfmot_mltq.mathematics.int8_simulation import batch_range, moving_range, widened_range

GATES = 4
_GATE_STEP = 2.0**-12
_RESULT_STEP = 2.0**-15
_INT16 = 2.0**15
# LiteRT's tanh takes 0 to 6 bits before the binary point of an int16, and does nothing for others.
_MOST_CELL_BITS = 6


@dataclasses.dataclass(frozen=True)
class LstmRanges:
    """Ranges of the states of an LSTM, scalars.

    Attributes:
      hidden_min: Smallest value of the hidden state, at most 0.
      hidden_max: Largest value of the hidden state.
      cell_max: Largest magnitude of the cell state.
      initialized: Above 0 if a batch has set the others.
    """

    hidden_min: Array
    hidden_max: Array
    cell_max: Array
    initialized: Array

    def unset(self) -> LstmRanges:
        """The same, as if no batch had set them."""
        return dataclasses.replace(self, initialized=0.0 * self.initialized)


RANGE_NAMES = tuple(field.name for field in dataclasses.fields(LstmRanges))


def int8_gate_kernel(kernel: Array, xp: ArrayNamespace) -> Array:
    """A kernel rounded to multiples of max|w| / 127 of its gate, same shape.

    Args:
      kernel: Kernel or recurrent kernel of an LSTM, shape (n, 4 * units).
      xp: NumPy-like namespace of ``kernel``.
    """
    by_gate = xp.reshape(kernel, (kernel.shape[0], GATES, -1))
    largest = xp.max(xp.abs(by_gate), axis=(0, 2), keepdims=True)
    scale = xp.where(largest > 0, largest / 127.0, xp.ones_like(largest))
    return xp.reshape(xp.floor(by_gate / scale + 0.5) * scale, tuple(kernel.shape))


def cell_limit(cell_max: Array, xp: ArrayNamespace) -> Array:
    """The power of two, from 1 to 64, up to which the int16 cell state goes.

    Args:
      cell_max: Scalar, largest magnitude of the cell state.
      xp: NumPy-like namespace.
    """
    limit = xp.ones_like(cell_max)
    for bits in range(_MOST_CELL_BITS):
        limit = xp.where(cell_max > 2.0**bits, 2.0 ** (bits + 1) * xp.ones_like(limit), limit)
    return limit


def observed_ranges(
    ranges: LstmRanges, hidden: Array, cell: Array, decay: float | None, xp: ArrayNamespace
) -> LstmRanges:
    """Ranges after a batch.

    Args:
      ranges: Those so far.
      hidden: Hidden states of the batch before they are rounded, any shape.
      cell: Cell states, likewise.
      decay: Of the moving average; None for the extremes of all batches.
      xp: NumPy-like namespace.
    """
    found = []
    for old, batch in (
        ((ranges.hidden_min, ranges.hidden_max), batch_range(hidden, xp)),
        ((0.0 * ranges.cell_max, ranges.cell_max), batch_range(xp.abs(cell), xp)),
    ):
        if decay is None:
            found.append(widened_range(old, ranges.initialized, batch, xp))
        else:
            found.append(moving_range(old, ranges.initialized, batch, decay, xp))
    (hidden_min, hidden_max), (_, cell_max) = found
    return LstmRanges(hidden_min, hidden_max, cell_max, xp.ones_like(ranges.initialized))


def lstm_step(
    of_input: Array,
    hidden: Array,
    cell: Array,
    recurrent_kernel: Array,
    ranges: LstmRanges,
    xp: ArrayNamespace,
    stop_gradient: Callable[[Array], Array],
) -> tuple[Array, Array, Array]:
    """A step of an LSTM, rounded as the operator rounds where the ranges are set.

    Args:
      of_input: Product of input and kernel, with the bias, shape (batch, 4 * units).
      hidden: Hidden state of the step before, shape (batch, units).
      cell: Cell state of the step before, shape (batch, units).
      recurrent_kernel: Shape (units, 4 * units), rounded.
      ranges: Of the states.
      xp: NumPy-like namespace.
      stop_gradient: Of the framework.

    Returns:
      Hidden state, cell state, and the hidden state before it is rounded.
    """

    def rounded(values: Array, step: Array, low: Array, high: Array) -> Array:
        """To multiples of a step from ``low`` to ``high`` of them; the gradient passes inside."""
        ones = xp.ones_like(values)
        clipped = xp.minimum(xp.maximum(values, step * low * ones), step * high * ones)
        quantized = straight_through(clipped, xp.floor(clipped / step + 0.5) * step, stop_gradient)
        return xp.where(ranges.initialized > 0, quantized, values)

    def int16(values: Array, step: Array) -> Array:
        return rounded(values, step, -_INT16, _INT16 - 1)

    gates = int16(
        int16(of_input, _GATE_STEP) + int16(xp.matmul(hidden, recurrent_kernel), _GATE_STEP),
        _GATE_STEP,
    )
    units = hidden.shape[-1]
    enter, keep, new, show = (gates[:, gate * units : (gate + 1) * units] for gate in range(GATES))
    # The logistic function, in every namespace.
    enter, keep, show = (
        int16(0.5 * xp.tanh(0.5 * gate) + 0.5, _RESULT_STEP) for gate in (enter, keep, show)
    )
    new = int16(xp.tanh(new), _RESULT_STEP)
    cell_step = cell_limit(ranges.cell_max, xp) / _INT16
    cell = int16(int16(keep * cell, cell_step) + int16(enter * new, cell_step), cell_step)
    shown = show * int16(xp.tanh(cell), _RESULT_STEP)
    span = xp.maximum(ranges.hidden_max - ranges.hidden_min, 1e-30 * xp.ones_like(cell_step))
    step = span / 255.0
    zero_point = xp.floor(0.5 - 128.0 - ranges.hidden_min / step)
    return rounded(shown, step, -128.0 - zero_point, 127.0 - zero_point), cell, shown
