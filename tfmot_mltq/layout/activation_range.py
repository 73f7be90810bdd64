"""The range of int8 activations: how it follows the data, and what is quantized to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from tfmot_mltq.helpers.framework_types import Tensor, Variable
from tfmot_mltq.helpers.simulation_mode import SimulationMode, current_mode
from tfmot_mltq.layout.tensor_functions import TensorFunctions
from tfmot_mltq.mathematics.decomposition import straight_through
from tfmot_mltq.mathematics.int8_simulation import (
    batch_range,
    joined_range,
    moving_range,
    rounded_twice,
    widened_range,
    with_ties_away,
    with_value_at,
)

# Smallest value, largest value, and above 0 where a batch has set them: scalars, or of shape
# (places,).
RangeWeights = Sequence[Variable]


@dataclasses.dataclass(frozen=True)
class ActivationRange:
    """The range of a tensor, or of the tensors of a group that share it.

    Attributes:
      functions: Of the framework.
      fake_quantize: Rounds a tensor to the 256 steps between two limits, in the framework.
      ema_decay: Decay of the moving average of the batch minima and maxima.
      sites: Places of the group.
      limits: What the range does not exceed, smallest and largest value; None for no limits.
    """

    functions: TensorFunctions
    fake_quantize: Callable[[Tensor, Tensor, Tensor], Tensor]
    ema_decay: float
    sites: int
    limits: Sequence[float] | None

    def quantized(
        self,
        values: Tensor,
        weights: RangeWeights,
        training: bool | None,
        site: int,
        ties_away: bool,
        sum_step: Tensor | None,
    ) -> Tensor:
        """A float32 tensor in 256 steps of the range, which training and calibration move.

        Args:
          values: The tensor.
          weights: Of the range.
          training: Whether this is a call in training.
          site: Place of the group.
          ties_away: Whether halves are rounded to the int8 value further from 0, and not up.
          sum_step: Real value of 1 in the sums that an operator stores so, and rounds twice, which
            is only done in inference: a scalar, or one for each channel. None for other tensors.
        """
        xp, stop_gradient = self.functions.array_namespace(), self.functions.stop_gradient
        mode = current_mode()
        if mode is SimulationMode.CONVERT:
            return self.fake_quantize(values, *self.eager_limits(weights))
        if mode is SimulationMode.CALIBRATE or training:
            current, initialized = self._at(weights, site)
            batch = batch_range(stop_gradient(values), xp, self.limits)
            if mode is SimulationMode.CALIBRATE:
                # Extremes of all batches. A pass starts with the range reset, see `calibrate`.
                self._set(weights, site, widened_range(current, initialized, batch, xp))
                return values
            limits = moving_range(current, initialized, batch, self.ema_decay, xp)
            self._set(weights, site, limits)
            if self.sites > 1:
                limits, _ = self._joined(weights)
            if ties_away:
                values = with_ties_away(values, limits, xp)
            return self.fake_quantize(values, *limits)
        limits, initialized = self._joined(weights)
        if sum_step is not None:
            rounded = rounded_twice(stop_gradient(values), sum_step, self.step(weights), xp)
            values = straight_through(values, rounded, stop_gradient)
        if ties_away:
            values = with_ties_away(values, limits, xp)
        return xp.where(initialized > 0, self.fake_quantize(values, *limits), values)

    def step(self, weights: RangeWeights) -> Tensor:
        """Real value of a step, not 0 where no range is set yet."""
        (low, high), _ = self._joined(weights)
        xp = self.functions.array_namespace()
        return xp.maximum(high - low, 1e-30 * xp.ones_like(low)) / 255.0

    def eager_limits(self, weights: RangeWeights) -> tuple[float, float]:
        """Smallest and largest value of the range, as far as it is set, in NumPy."""
        low, high, initialized = (
            np.atleast_1d(self.functions.eager_value(weight)) for weight in weights
        )
        return joined_range((low, high), initialized, np)

    def _tensors(self, weights: RangeWeights) -> tuple[Tensor, Tensor, Tensor]:
        low, high, initialized = map(self.functions.to_tensor, weights)
        return low, high, initialized

    def _at(self, weights: RangeWeights, site: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """The range of one place, and whether it is set."""
        low, high, initialized = self._tensors(weights)
        if self.sites > 1:
            low, high, initialized = low[site], high[site], initialized[site]
        return (low, high), initialized

    def _joined(self, weights: RangeWeights) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """The range of all places, and whether one is set."""
        low, high, initialized = self._tensors(weights)
        if self.sites == 1:
            return (low, high), initialized
        xp = self.functions.array_namespace()
        return joined_range((low, high), initialized, xp), xp.max(initialized)

    def _set(self, weights: RangeWeights, site: int, limits: tuple[Tensor, Tensor]) -> None:
        xp = self.functions.array_namespace()
        for weight, value in zip(weights, (*limits, xp.ones_like(limits[0])), strict=True):
            if self.sites > 1:
                value = with_value_at(self.functions.to_tensor(weight), site, value, xp)
            weight.assign(value)
