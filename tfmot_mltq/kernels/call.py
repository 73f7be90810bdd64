"""A layer with the sizes of one call."""

from __future__ import annotations

import dataclasses

from tfmot_mltq.packing.packed_layer import ActivationTable, Geometry


@dataclasses.dataclass(frozen=True)
class Call:
    """A layer with the sizes of one call.

    Attributes:
      geometry: Filter and window.
      input_size, output_size: (height, width); of a fully connected layer (positions, 1).
      activation_levels: Levels K of the input; 0 if it is int8.
      binary_activations: Whether no entry of these levels is zero.
    """

    geometry: Geometry
    input_size: tuple[int, int] = (1, 1)
    output_size: tuple[int, int] = (1, 1)
    activation_levels: int = 0
    binary_activations: bool = False

    def reading(self, table: ActivationTable | None) -> Call:
        """The same call of a layer whose input is cut by a table."""
        if table is None:
            return self
        return dataclasses.replace(
            self,
            activation_levels=len(table.scales),
            binary_activations=bool(table.planes.all()),
        )

    @property
    def positions(self) -> int:
        """Output positions."""
        return self.output_size[0] * self.output_size[1]

    @property
    def is_pointwise(self) -> bool:
        """Whether rows do not matter, so that positions may be regrouped into others."""
        geometry = self.geometry
        return (
            geometry.row_size == geometry.input_channels
            and geometry.stride == (1, 1)
            and self.positions <= 1 << 30
        )

    def reach(self, axis: int) -> tuple[int, int]:
        """Padding before an axis, and rows or columns with all padding that are read."""
        geometry = self.geometry
        span = (geometry.filter_size[axis] - 1) * geometry.dilation[axis] + 1
        reach = (self.output_size[axis] - 1) * geometry.stride[axis] + span
        missing = max(0, reach - self.input_size[axis])
        before = missing // 2 if geometry.padding else 0
        return before, max(reach, before + self.input_size[axis])
