"""How a layer is pruned, as its configuration says."""

from __future__ import annotations

import dataclasses

from tfmot_mltq.helpers.framework_types import Config
from tfmot_mltq.pruning.schedule import PruningSchedule, as_schedule

GRANULARITIES = ("bit", "word")
SCOPES = ("layer", "global")
CRITERIA = (
    "squared_error",
    "relative_error",
    "squared_error_per_work",
    "relative_error_per_work",
)
SPARSITY_OF = ("elements", "work")
CHANNEL = "channel"


@dataclasses.dataclass(frozen=True)
class PruningSpec:
    """How a layer is pruned; see ``prune_low_magnitude`` for the meaning of the fields.

    Attributes:
      schedule: When, and to which sparsity.
      granularity: "bit" or "word".
      scope: "layer" or "global".
      criterion: One of ``CRITERIA``.
      block_size: (entries, output channels) of a block of words, or "channel".
      sparsity_of: "elements" or "work".

    Raises:
      ValueError: A field is out of its range.
    """

    schedule: PruningSchedule
    granularity: str = "bit"
    scope: str = "layer"
    criterion: str = "squared_error"
    block_size: tuple[int, int] | str = (1, 1)
    sparsity_of: str = "elements"

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("granularity", self.granularity, GRANULARITIES),
            ("scope", self.scope, SCOPES),
            ("criterion", self.criterion, CRITERIA),
            ("sparsity_of", self.sparsity_of, SPARSITY_OF),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {value!r}.")
        if self.block_size != CHANNEL and not _is_size(self.block_size):
            raise ValueError(
                "block_size must be (entries, output channels), both at least 1, or 'channel', got "
                f"{self.block_size!r}."
            )
        if self.granularity == "bit" and self.block_size != (1, 1):
            raise ValueError("block_size is for granularity='word'; bits are pruned one by one.")

    @property
    def per_work(self) -> bool:
        """Whether errors are divided by the work that an element causes."""
        return self.criterion.endswith("_per_work")

    @property
    def is_relative(self) -> bool:
        """Whether errors are relative to the mean square of their output channel."""
        return self.criterion.startswith("relative")

    def block_shape(self, matrix_shape: tuple[int, int], name: str) -> tuple[int, int]:
        """Size of a block in a weight matrix of shape (n, c).

        Raises:
          ValueError: Blocks do not divide the matrix; names the layer.
        """
        if isinstance(self.block_size, str):  # "channel"
            return matrix_shape[0], 1
        if any(total % size for total, size in zip(matrix_shape, self.block_size, strict=True)):
            raise ValueError(
                f"block_size {self.block_size} does not divide the weights of layer '{name}': "
                f"{matrix_shape[0]} entries in each of {matrix_shape[1]} output channels."
            )
        return self.block_size

    def get_config(self) -> Config:
        """The fields as plain data."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**fields, "schedule": self.schedule.get_config()}


def as_pruning_spec(value: PruningSpec | Config) -> PruningSpec:
    """A ``PruningSpec``, given as such or by its configuration."""
    if isinstance(value, PruningSpec):
        return value
    size = value["block_size"]
    return PruningSpec(
        **{
            **value,
            "schedule": as_schedule(value["schedule"]),
            "block_size": size if isinstance(size, str) else tuple(size),  # lists in JSON
        }
    )


def _is_size(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and all(isinstance(size, int) and size >= 1 for size in value)
    )
