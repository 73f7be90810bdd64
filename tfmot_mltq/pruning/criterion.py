"""What it costs to set bits, words and blocks of words to zero."""

from __future__ import annotations

import numpy as np

from tfmot_mltq.decomposition import residual_levels, with_columns
from tfmot_mltq.pruning.prunable_kernel import PrunableKernel
from tfmot_mltq.pruning.pruning_spec import PruningSpec


def element_scores(kernel: PrunableKernel, pruning: PruningSpec) -> np.ndarray:
    """How much each element is worth keeping.

    A bit with scale a on the residual R lowers the squared error of its weight by
    (|R|)^2 - (|R| - a)^2 = a * (2|R| - a). A word w is worth w^2, and a
    block the mean of its words, so that blocks of different sizes compare.

    Args:
      kernel: The kernel.
      pruning: Granularity and criterion.

    Returns:
      Bits: shape (levels, n, c). Words: (n, c). Blocks: (n / entries, c / channels).
    """
    if pruning.granularity == "bit":
        scores = _bit_errors(kernel)
    else:
        alive = np.any(kernel.state.mask != 0, axis=0)
        scores = np.square(kernel.matrix, dtype=np.float64) * alive
    if pruning.is_relative:
        power = np.sum(np.square(kernel.matrix, dtype=np.float64), axis=0) * kernel.matrix.shape[1]
        scores = scores / np.where(power > 0, power, 1.0)
    if pruning.granularity == "word":
        block = pruning.block_shape(kernel.matrix.shape, kernel.name)
        scores = in_blocks(scores, block) / np.prod(block)
    return scores / kernel.positions if pruning.per_work else scores


def _bit_errors(kernel: PrunableKernel) -> np.ndarray:
    columns, state = with_columns(kernel.matrix, kernel.spec, np, kernel.state)
    levels = residual_levels(columns, kernel.spec, np, state)
    errors = [level.scale * (2.0 * np.abs(level.residual) - level.scale) for level in levels]
    return np.reshape(np.stack(errors).astype(np.float64), (len(levels), *kernel.matrix.shape))


def in_blocks(values: np.ndarray, block: tuple[int, int]) -> np.ndarray:
    """Sums over the blocks of a matrix."""
    (rows, columns), (height, width) = values.shape, block
    return values.reshape(rows // height, height, columns // width, width).sum(axis=(1, 3))


def from_blocks(values: np.ndarray, block: tuple[int, int]) -> np.ndarray:
    """A matrix with the value of each block in all of the block's places."""
    return np.repeat(np.repeat(values, block[0], axis=0), block[1], axis=1)
