"""Which int8 operators make a stored tensor of an integer sum or product, and of which tensors.

Such an operator multiplies its int32 result to the scale of the output, and rounds that twice (see
``int8_simulation.rounded_twice``). How, follows from the scales of its inputs, which are those of
the quantizers that stored them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

from tfmot_mltq.helpers.framework_types import Layer, LayerBase, Tensor, Variable
from tfmot_mltq.layout.int8_constraints import Constraint, constraint_of
from tfmot_mltq.layout.layer_kinds import activation_name, is_a, kind_of

# CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV; a bias is part of the sum.
_KERNELS = frozenset({
    "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Dense", "DepthwiseConv1D",
    "DepthwiseConv2D",
})  # fmt: skip
# MUL and BATCH_MATMUL
_PRODUCTS = frozenset({"Multiply", "Matmul", "linalg.matmul"})
# Layers that TFLite fuses into the operator before them.
_MOST_FUSED = 2

# The layer that made a symbolic tensor, and what it read; None where nothing is known.
Maker = Callable[[Tensor], tuple[Layer, Sequence[Tensor]] | None]


class StoredOutput(LayerBase):
    """Mixin of layers whose output TFLite stores as int8."""

    @property
    def stores_output(self) -> bool:
        """Whether the output is quantized here."""
        return True

    def step(self) -> Tensor:
        """Real value of a step of the output, on the backend."""
        raise NotImplementedError

    def output_limits(self) -> tuple[float, float] | None:
        """Smallest and largest value of the output, in NumPy; None where it is not stored here."""
        raise NotImplementedError

    def range_flag(self) -> Variable | None:
        """The weight that tells whether the range is set; None where there is none to set."""
        return None


@dataclasses.dataclass(frozen=True)
class Int8Sum:
    """What an operator adds up or multiplies.

    Attributes:
      layer: With the kernel; None for a product of tensors.
      quantizers: What stored the inputs.
    """

    layer: Layer | None
    quantizers: tuple[StoredOutput, ...]

    def step(self) -> Tensor:
        """Real value of 1 in the result, on the backend: a scalar, or one for each channel."""
        step: Tensor = 1.0
        for quantizer in self.quantizers:
            step = step * quantizer.step()
        return step if self.layer is None else step * self.layer.kernel_steps()


class SumNotes:
    """What the tensors are sums of that one quantizer stores.

    Where several calls have sums of different tensors, as of a shared layer, none is noted.

    Args:
      maker: Of the framework.
      inner_layer: The layer in a wrapper.
    """

    def __init__(
        self, maker: Maker, inner_layer: Callable[[Layer], Layer] = lambda layer: layer
    ) -> None:
        self._maker = maker
        self._inner_layer = inner_layer
        self._sums: dict[int, Int8Sum | None] = {}

    def note_tensor(self, tensor: Tensor, site: int) -> None:
        """Notes what a symbolic tensor is a sum of that is stored at one place."""
        made = self._maker(tensor)
        if made is not None:
            self.note_call(*made, site)

    def note_call(self, layer: Layer, inputs: Sequence[Tensor], site: int = 0) -> None:
        """Notes what a layer adds up whose result is stored; that layer can ask for it."""
        found = int8_sum((layer, inputs), self._maker, self._inner_layer)
        before = self._sums.get(site, found)
        self._sums[site] = found if found == before else None
        for known in (before, found):
            if known is not None and known.layer is not None:
                known.layer.known_sum = functools.partial(self.at, site)

    def at(self, site: int) -> Int8Sum | None:
        """What is known of a place."""
        return self._sums.get(site)


def int8_sum(
    made: tuple[Layer, Sequence[Tensor]] | None,
    maker: Maker,
    inner_layer: Callable[[Layer], Layer],
) -> Int8Sum | None:
    """What a layer gives that is about to be stored; None if it is no such sum.

    Args:
      made: The layer that makes the tensor, and what it reads.
      maker: Of the framework.
      inner_layer: The layer in a wrapper.
    """
    for _ in range(_MOST_FUSED):
        if made is None:
            return None
        layer, inputs = made
        inner = inner_layer(layer)
        if not _is_relu(inner):
            break
        made = maker(inputs[0])
    kind = kind_of(inner)
    if kind in _PRODUCTS and len(inputs) == 2:
        kernel_layer = None
    elif kind in _KERNELS and getattr(layer, "has_int8_kernel", False) and len(inputs) == 1:
        if getattr(inner, "data_format", None) == "channels_first":
            return None
        kernel_layer = layer
    else:
        return None
    quantizers = [_quantizer(x, maker, inner_layer) for x in inputs]
    known = tuple(quantizer for quantizer in quantizers if quantizer is not None)
    return Int8Sum(kernel_layer, known) if len(known) == len(quantizers) else None


def _is_relu(layer: Layer) -> bool:
    if is_a(layer, ("ReLU",)):
        return True
    return is_a(layer, ("Activation",)) and activation_name(layer) in ("relu", "relu6")


def _quantizer(
    tensor: Tensor, maker: Maker, inner_layer: Callable[[Layer], Layer]
) -> StoredOutput | None:
    """What stored a tensor, before operators that only move its values."""
    while (made := maker(tensor)) is not None:
        layer, inputs = made
        if isinstance(layer, StoredOutput) and layer.stores_output:
            return layer
        if constraint_of(inner_layer(layer)) is not Constraint.MOVES or not inputs:
            return None
        tensor = inputs[0]
    return None
