"""A layer that is being pruned, in whichever framework."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.helpers.framework_types import Variable
from tfmot_mltq.mathematics.decomposition import KernelState, as_matrix
from tfmot_mltq.pruning.prunable_kernel import PrunableKernel
from tfmot_mltq.pruning.pruning_spec import PruningSpec


@dataclasses.dataclass(frozen=True)
class PrunedLayer:
    """Access to the pruning of a layer. Variables have ``numpy()`` and ``assign()``.

    Attributes:
      name: Layer name.
      pruning: How it is pruned.
      spec: How its kernel is decomposed; None for a float kernel.
      channel_axes: How many trailing axes of the kernel make up the output channels.
      kernel: Variable of the float weights.
      mask: Variable of shape (levels, *kernel shape), 1 where a bit may be non-zero.
      pruned: Variable; 1 as soon as the mask alone says which bits are non-zero.
      pruning_step: Variable; batches done, -1 before training.
      state: Gives what the layer holds besides the kernel, as NumPy matrices.
      refresh_pruning_started: To be called after ``pruning_step`` was set.
    """

    name: str
    pruning: PruningSpec
    spec: MultiLevelConfig | None
    channel_axes: int
    kernel: Variable
    mask: Variable
    pruned: Variable
    pruning_step: Variable
    state: Callable[[], KernelState]
    refresh_pruning_started: Callable[[], None]

    def prunable_kernel(self, positions: Mapping[str, int]) -> PrunableKernel:
        """The kernel as it is now; ``positions`` says how often weights are used, by layer name."""
        matrix = as_matrix(self.kernel.numpy().astype(np.float32), self.channel_axes)
        return PrunableKernel(self.name, matrix, self.spec, self.state(), positions[self.name])

    def set_mask(self, mask: np.ndarray) -> None:
        """Prunes the kernel to the bits of a mask, Booleans of shape (levels, n, c)."""
        self.mask.assign(mask.reshape(self.mask.shape).astype(np.float32))
        self.pruned.assign(1.0)

    def zero_pruned_words(self) -> None:
        """Writes the words that are zero in the mask into the kernel."""
        self.kernel.assign(self.kernel.numpy() * np.max(self.mask.numpy(), axis=0))

    def set_step(self, step: int) -> None:
        """Sets the number of batches done."""
        self.pruning_step.assign(step)
        self.refresh_pruning_started()


def ranked_together(layers: list[PrunedLayer]) -> list[list[PrunedLayer]]:
    """Layers in groups that meet a sparsity together."""
    groups: dict[str | PruningSpec, list[PrunedLayer]] = {}
    for layer in layers:
        is_alone = layer.pruning.scope == "layer"
        groups.setdefault(layer.name if is_alone else layer.pruning, []).append(layer)
    return list(groups.values())
