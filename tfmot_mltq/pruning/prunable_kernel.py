"""A kernel as pruning sees it."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.mathematics.decomposition import KernelState, decompose


@dataclasses.dataclass(frozen=True)
class PrunableKernel:
    """A kernel, float or with levels, and its mask.

    Attributes:
      name: Layer name.
      matrix: Float weights, shape (n, c): n entries in each of c output channels.
      spec: How it is decomposed; None for a float kernel.
      state: What the layer holds besides the weights, with a mask of shape (levels, n, c), or
        (1, n, c) for a float kernel.
      positions: How often each weight is used for one sample.
    """

    name: str
    matrix: np.ndarray
    spec: MultiLevelConfig | None
    state: KernelState
    positions: int

    @property
    def mask(self) -> np.ndarray:
        """The mask of the state."""
        assert self.state.mask is not None
        return self.state.mask

    def support(self) -> np.ndarray:
        """Which bits (of a float kernel: weights) are non-zero: Booleans in the mask's shape."""
        if self.spec is None:
            return self.mask != 0
        return decompose(self.matrix, self.spec, np, self.state)[0] != 0

    def pruned_to(self, mask: np.ndarray) -> PrunableKernel:
        """The kernel with the bits of ``mask`` (Booleans) and no others."""
        state = dataclasses.replace(
            self.state, mask=mask.astype(np.float32), pruned=np.float32(1.0)
        )
        return dataclasses.replace(self, state=state)
