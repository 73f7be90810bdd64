"""What the layers that quantize activations have in common in both frameworks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tfmot_mltq.helpers.framework_types import Config, Tensor
from tfmot_mltq.layout.int8_sums import StoredOutput, SumNotes
from tfmot_mltq.layout.quantized_layer import QuantizedLayer


class QuantizeActivationMixin(QuantizedLayer, StoredOutput):
    """Int8 fake quantization of a tensor, or of the tensors of a group that share one range.

    Args:
      sites: Places of the graph at which the layer is called.
      limits: What the range does not exceed, smallest and largest value; None for no limits.

    Attributes:
      sum_notes: Makes the notes of a layer, in its framework.
    """

    sum_notes: Callable[[], SumNotes]

    def __init__(self, sites: int, limits: Sequence[float] | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sites = sites
        self.range_limits = None if limits is None else tuple(map(float, limits))
        self._sums = self.sum_notes()

    def __call__(self, inputs: Tensor, *args: Any, site: int = 0, **kwargs: Any) -> Tensor:
        """Keras' call; of symbolic tensors it notes what they are sums of."""
        self._sums.note_tensor(inputs, site)
        return super().__call__(inputs, *args, site=site, **kwargs)

    def get_config(self) -> Config:
        """Keras configuration."""
        config = dict(super().get_config())
        if self.sites > 1:
            config["sites"] = self.sites
        if self.range_limits is not None:
            config["limits"] = list(self.range_limits)
        return config


class QuantizeFixedRangeMixin(StoredOutput):
    """Int8 fake quantization of the output of an operator whose range TFLite fixes.

    Args:
      limits: Smallest and largest value of the range.
    """

    def __init__(self, limits: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.limits = tuple(limits)

    def output_limits(self) -> tuple[float, float] | None:
        """Smallest and largest value of the range."""
        low, high = self.limits
        return low, high

    def get_config(self) -> Config:
        """Keras configuration."""
        return {**super().get_config(), "limits": list(self.limits)}
