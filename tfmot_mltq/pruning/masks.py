"""Which bits, words or blocks of words are left at a sparsity: the masks.

All in NumPy, once per update of the masks and not in the compiled training step. So every framework
and backend gets the same masks from the same weights, a target is met to the element, and ranking
can look at all layers together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfmot_mltq.decomposition import TWN_FACTOR, residual_levels, with_columns
from tfmot_mltq.pruning.criterion import element_scores, from_blocks, in_blocks
from tfmot_mltq.pruning.prunable_kernel import PrunableKernel
from tfmot_mltq.pruning.pruning_spec import PruningSpec

# The errors of bits follow from the scales, and the scales from the mask.
_ROUNDS = 3


def masks_for(
    kernels: Sequence[PrunableKernel], pruning: PruningSpec, sparsity: float
) -> list[np.ndarray] | None:
    """The masks that give kernels, ranked together, a sparsity.

    What is zero in the mask of a kernel stays zero.

    Args:
      kernels: Kernels that are pruned alike.
      pruning: What is pruned, and by which criterion.
      sparsity: Share of the bits, words or blocks (or of their work) that is to be zero.

    Returns:
      Booleans in the shapes of the kernels' masks. None if the kernels are as sparse already.
    """
    total = sum(int(np.sum(cost)) for cost in _costs(kernels, pruning))
    budget = total - round(sparsity * total)
    if work_left(kernels, pruning) <= budget:
        return None
    kernels = list(kernels)
    for _ in range(_ROUNDS if pruning.granularity == "bit" else 1):
        kept = _best_elements(kernels, pruning, budget)
        masks = [
            _mask(kernel, elements, pruning) for kernel, elements in zip(kernels, kept, strict=True)
        ]
        kernels = [kernel.pruned_to(mask) for kernel, mask in zip(kernels, masks, strict=True)]
    return masks


def work_left(kernels: Sequence[PrunableKernel], pruning: PruningSpec) -> int:
    """Elements that are not zero, or their work, as the specification counts."""
    return sum(
        int(np.sum(cost * _elements(kernel, kernel.support(), pruning)))
        for kernel, cost in zip(kernels, _costs(kernels, pruning), strict=True)
    )


def current_sparsity(kernels: Sequence[PrunableKernel], pruning: PruningSpec) -> float:
    """The sparsity that kernels have, as the specification counts."""
    total = sum(int(np.sum(cost)) for cost in _costs(kernels, pruning))
    return 1.0 - work_left(kernels, pruning) / total


def is_sparser(kernels: Sequence[PrunableKernel], pruning: PruningSpec, sparsity: float) -> bool:
    """Whether kernels have more zeros than a sparsity asks for, by more than one element."""
    costs = _costs(kernels, pruning)
    total = sum(int(np.sum(cost)) for cost in costs)
    largest = max(int(np.max(cost)) for cost in costs)
    zeros = total - work_left(kernels, pruning)
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
        elements = _elements(kernel, np.ones(kernel.state.mask.shape, bool), pruning)
        words = kernel.matrix.size // elements.size if pruning.granularity == "word" else 1
        uses = kernel.positions if pruning.sparsity_of == "work" else 1
        costs.append(np.full(elements.shape, words * uses, np.int64))
    return costs


def _best_elements(
    kernels: Sequence[PrunableKernel], pruning: PruningSpec, budget: int
) -> list[np.ndarray]:
    """Booleans per element: the ones worth most that cost no more than the budget."""
    scores = []
    for kernel in kernels:
        allowed = _elements(kernel, kernel.state.mask != 0, pruning)
        scores.append(np.where(allowed, element_scores(kernel, pruning), -np.inf))
    ranked = np.concatenate([score.ravel() for score in scores])
    costs = np.concatenate([cost.ravel() for cost in _costs(kernels, pruning)])
    order = np.argsort(-ranked, kind="stable")
    within = np.cumsum(costs[order]) <= budget
    kept = np.zeros(ranked.shape, bool)
    kept[order[within]] = True
    ends = np.cumsum([score.size for score in scores])[:-1]
    return [
        part.reshape(score.shape) for part, score in zip(np.split(kept, ends), scores, strict=True)
    ]


def _mask(kernel: PrunableKernel, kept: np.ndarray, pruning: PruningSpec) -> np.ndarray:
    """Booleans per bit, from Booleans per element."""
    if pruning.granularity == "bit":
        return kept
    words = from_blocks(kept, pruning.block_shape(kernel.matrix.shape, kernel.name))
    if kernel.spec is None:
        return words[np.newaxis]
    return _bits_of_words(kernel, words & np.any(kernel.state.mask != 0, axis=0))


def _bits_of_words(kernel: PrunableKernel, words: np.ndarray) -> np.ndarray:
    """The bits that words are made of: at each level those above the threshold of Ternary Weight
    Networks among the words that are left, and at least one.
    """
    allowed = (kernel.state.mask != 0) & words
    mask = np.zeros_like(allowed)
    for level in range(len(mask)):
        columns, state = with_columns(kernel.matrix, kernel.spec, np, kernel.pruned_to(mask).state)
        residual = residual_levels(columns, kernel.spec, np, state)[level].residual
        magnitude = np.abs(residual).reshape(kernel.matrix.shape) * words
        left = np.maximum(np.sum(words, axis=0), 1)
        mask[level] = allowed[level] & (magnitude > TWN_FACTOR * np.sum(magnitude, axis=0) / left)
    first = np.cumsum(allowed, axis=0) == 1
    return mask | (first & allowed & ~np.any(mask, axis=0))
