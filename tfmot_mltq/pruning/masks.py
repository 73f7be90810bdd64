"""Which bits, words or blocks of words are left at a sparsity: the masks.

All in NumPy, once per update of the masks and not in the compiled training step. So every framework
and backend gets the same masks from the same weights, a target is met to the element, and ranking
can look at all layers together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfmot_mltq.mathematics.decomposition import TWN_FACTOR, residual_levels, with_columns
from tfmot_mltq.pruning.criterion import bit_values, from_blocks, in_blocks, word_values
from tfmot_mltq.pruning.prunable_kernel import PrunableKernel
from tfmot_mltq.pruning.pruning_spec import PruningSpec

# What bits are worth follows from the scales, and the scales from the mask.
_ROUNDS = 3


def masks_for(
    kernels: Sequence[PrunableKernel], pruning: PruningSpec, sparsity: float
) -> list[np.ndarray] | None:
    """The masks that give kernels, ranked together, a sparsity.

    Weights that are exactly zero stay so; others may come back while the sparsity rises.

    Args:
      kernels: Kernels that are pruned alike.
      pruning: What is pruned, and by which criterion.
      sparsity: Share of the bits, words or blocks (or of their work) that is to be zero.

    Returns:
      Booleans in the shapes of the kernels' masks. None if the kernels are as sparse already.
    """
    costs = _costs(kernels, pruning)
    total = sum(int(np.sum(cost)) for cost in costs)
    budget = total - round(sparsity * total)
    if _work_left(kernels, costs, pruning) <= budget:
        return None
    if pruning.granularity == "word":
        values = [word_values(kernel, pruning) for kernel in kernels]
        kept = _most_valuable(values, costs, budget)
        return [
            _mask_of_words(kernel, words, pruning)
            for kernel, words in zip(kernels, kept, strict=True)
        ]
    for _ in range(_ROUNDS):
        values, levels_used = zip(*(bit_values(kernel, pruning) for kernel in kernels), strict=True)
        kept = _most_valuable(values, costs, budget)
        masks = [_mask_of_bits(*found) for found in zip(kept, levels_used, strict=True)]
        kernels = [kernel.pruned_to(mask) for kernel, mask in zip(kernels, masks, strict=True)]
    return masks


def work_left(kernels: Sequence[PrunableKernel], pruning: PruningSpec) -> int:
    """Elements that are not zero, or their work, as the specification counts."""
    return _work_left(kernels, _costs(kernels, pruning), pruning)


def _work_left(
    kernels: Sequence[PrunableKernel], costs: Sequence[np.ndarray], pruning: PruningSpec
) -> int:
    return sum(
        int(np.sum(cost * _elements(kernel, kernel.support(), pruning)))
        for kernel, cost in zip(kernels, costs, strict=True)
    )


def current_sparsity(kernels: Sequence[PrunableKernel], pruning: PruningSpec) -> float:
    """The sparsity that kernels have, as the specification counts."""
    costs = _costs(kernels, pruning)
    total = sum(int(np.sum(cost)) for cost in costs)
    return 1.0 - _work_left(kernels, costs, pruning) / total


def meets(kernels: Sequence[PrunableKernel], pruning: PruningSpec, sparsity: float) -> bool:
    """Whether kernels have at least as many zeros as ``masks_for`` leaves at a sparsity."""
    costs = _costs(kernels, pruning)
    total = sum(int(np.sum(cost)) for cost in costs)
    return _work_left(kernels, costs, pruning) <= total - round(sparsity * total)


def is_sparser(kernels: Sequence[PrunableKernel], pruning: PruningSpec, sparsity: float) -> bool:
    """Whether kernels have more zeros than a sparsity asks for, by more than one element."""
    costs = _costs(kernels, pruning)
    total = sum(int(np.sum(cost)) for cost in costs)
    largest = max(int(np.max(cost)) for cost in costs)
    zeros = total - _work_left(kernels, costs, pruning)
    return zeros - round(sparsity * total) >= largest


def _elements(kernel: PrunableKernel, bits: np.ndarray, pruning: PruningSpec) -> np.ndarray:
    """Booleans per element (bit, word or block), from Booleans per bit: whether any bit is set."""
    if pruning.granularity == "bit":
        return bits
    words = np.any(bits, axis=0)
    return in_blocks(words, pruning.block_shape(words.shape, kernel.name)) > 0


def _costs(kernels: Sequence[PrunableKernel], pruning: PruningSpec) -> list[np.ndarray]:
    """What each element counts: the bits or words in it, or how often they are used."""
    costs = []
    for kernel in kernels:
        elements = _elements(kernel, np.ones(kernel.mask.shape, bool), pruning)
        words = kernel.matrix.size // elements.size if pruning.granularity == "word" else 1
        uses = kernel.positions if pruning.sparsity_of == "work" else 1
        costs.append(np.full(elements.shape, words * uses, np.int64))
    return costs


def _most_valuable(
    values: Sequence[np.ndarray], costs: Sequence[np.ndarray], budget: int
) -> list[np.ndarray]:
    """Booleans per element: the ones worth most that cost no more than the budget."""
    # Stable, so that of equal bits of a weight the first one goes in first.
    order = np.argsort(-np.concatenate([value.ravel() for value in values]), kind="stable")
    within = np.cumsum(np.concatenate([cost.ravel() for cost in costs])[order]) <= budget
    kept = np.zeros(order.shape, bool)
    kept[order[within]] = True
    ends = np.cumsum([value.size for value in values])[:-1]
    return [
        part.reshape(value.shape) for part, value in zip(np.split(kept, ends), values, strict=True)
    ]


def _mask_of_bits(kept: np.ndarray, levels_used: np.ndarray) -> np.ndarray:
    """Booleans per level, from how many bits of each weight are kept."""
    count = np.count_nonzero(kept, axis=0)
    code = np.zeros(count.shape, np.uint8)
    for bits in range(1, len(kept) + 1):
        code = np.where(count == bits, levels_used[bits - 1], code)
    return np.stack([(code >> level) & 1 for level in range(len(kept))]) != 0


def _mask_of_words(kernel: PrunableKernel, kept: np.ndarray, pruning: PruningSpec) -> np.ndarray:
    """Booleans per bit of the words (or blocks) that are kept: at each level those above the
    threshold of Ternary Weight Networks among them, and at least one.
    """
    words = from_blocks(kept, pruning.block_shape(kernel.matrix.shape, kernel.name))
    if kernel.spec is None:
        return words[np.newaxis]
    mask = np.zeros(kernel.mask.shape, bool)
    for level in range(len(mask)):
        state = kernel.pruned_to(mask).state
        columns, state = with_columns(kernel.matrix, kernel.spec, np, state)
        residual = residual_levels(columns, kernel.spec, np, state)[level].residual
        magnitude = np.abs(residual).reshape(words.shape) * words
        mean = np.sum(magnitude, axis=0) / np.maximum(np.sum(words, axis=0), 1)
        mask[level] = words & (magnitude > TWN_FACTOR * mean)
    mask[0] |= words & ~np.any(mask, axis=0)
    return mask
