"""What bits, words and blocks of words are worth: how much error they save."""

from __future__ import annotations

import itertools

import numpy as np

from tfmot_mltq.mathematics.decomposition import residual_levels, with_columns
from tfmot_mltq.pruning.prunable_kernel import PrunableKernel
from tfmot_mltq.pruning.pruning_spec import PruningSpec


def word_values(kernel: PrunableKernel, pruning: PruningSpec) -> np.ndarray:
    """What each word, or block of words, is worth.

    A word w saves the error w^2; a block the mean over its words, so that blocks of different sizes
    compare. Shape (n, c) for words, (n / entries, c / channels) for blocks.
    """
    errors = _weighed(np.square(kernel.matrix, dtype=np.float64), kernel, pruning)
    block = pruning.block_shape(kernel.matrix.shape, kernel.name)
    return in_blocks(errors, block) / np.prod(block)


def bit_values(kernel: PrunableKernel, pruning: PruningSpec) -> tuple[np.ndarray, np.ndarray]:
    """What the first, second, ... bit of each weight is worth, and which levels they are on.

    With the scales as they are, let E_b be the smallest squared error of a weight with b bits, on
    whichever levels serve it best. Its b-th bit saves E_(b-1) - E_b. (With one level that is
    a * (2|w| - a) for a scale a.) A bit counts no more than those before it, so that the most
    valuable bits of a tensor are, for every weight, its first ones.

    Args:
      kernel: The kernel.
      pruning: The criterion.

    Returns:
      values: Shape (levels, n, c); entry b - 1 is what the b-th bit is worth, and -inf for weights
        that are exactly zero.
      levels_used: uint8, same shape; bit m of entry b - 1 says whether the best choice of b bits
        has one on level m + 1.
    """
    assert kernel.spec is not None  # a float kernel has words only
    columns, state = with_columns(kernel.matrix, kernel.spec, np, kernel.state)
    scales = [level.scale for level in residual_levels(columns, kernel.spec, np, state)]
    magnitude = np.abs(columns)
    count = len(scales)
    errors = np.full((count + 1, *columns.shape), np.inf, np.float32)
    errors[0] = np.square(magnitude)
    levels_used = np.zeros((count, *columns.shape), np.uint8)
    for word in itertools.product((-1, 0, 1), repeat=count):
        bits = sum(map(abs, word))
        if not bits:
            continue
        value = sum(sign * scale for sign, scale in zip(word, scales, strict=True))
        error = np.square(magnitude - value)
        is_better = error < errors[bits]
        errors[bits] = np.where(is_better, error, errors[bits])
        code = sum(1 << level for level, sign in enumerate(word) if sign)
        levels_used[bits - 1] = np.where(is_better, code, levels_used[bits - 1])
    saved = np.minimum.accumulate(errors[:-1] - errors[1:], axis=0)
    saved = np.where(magnitude > 0, saved, -np.inf)
    shape = (count, *kernel.matrix.shape)
    return _weighed(saved.reshape(shape), kernel, pruning), levels_used.reshape(shape)


def _weighed(errors: np.ndarray, kernel: PrunableKernel, pruning: PruningSpec) -> np.ndarray:
    """Errors as the criterion weighs them."""
    if pruning.is_relative:
        power = np.sum(np.square(kernel.matrix, dtype=np.float64), axis=0)
        power = power * kernel.matrix.shape[1]
        errors = errors / np.where(power > 0, power, 1.0)
    return errors / kernel.positions if pruning.per_work else errors


def in_blocks(values: np.ndarray, block: tuple[int, int]) -> np.ndarray:
    """Sums over the blocks of a matrix."""
    (rows, columns), (height, width) = values.shape, block
    return values.reshape(rows // height, height, columns // width, width).sum(axis=(1, 3))


def from_blocks(values: np.ndarray, block: tuple[int, int]) -> np.ndarray:
    """A matrix with the value of each block in all of the block's places."""
    return np.repeat(np.repeat(values, block[0], axis=0), block[1], axis=1)
