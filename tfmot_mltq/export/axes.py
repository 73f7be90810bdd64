"""Axes of tensors, for loops of a fixed depth."""

from __future__ import annotations

from collections.abc import Sequence


def strides_of(shape: Sequence[int]) -> list[int]:
    """How far the next value along each axis is, in a tensor without gaps."""
    strides = [1] * len(shape)
    for axis in reversed(range(len(shape) - 1)):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return strides


def merged_axes(
    sizes: Sequence[int], strides: Sequence[Sequence[int]], rank: int
) -> tuple[list[int], list[list[int]]] | None:
    """The same loop with ``rank`` axes, or None where it needs more.

    Axes of one value go, and neighbours that are one axis in all tensors are merged.

    Args:
      sizes: Of the axes, outermost first.
      strides: Along them, for each tensor.
      rank: Axes to have.
    """
    axes: list[tuple[int, list[int]]] = []
    for axis, size in enumerate(sizes):
        steps = [of_tensor[axis] for of_tensor in strides]
        if size == 1:
            continue
        if axes and axes[-1][1] == [step * size for step in steps]:
            axes[-1] = axes[-1][0] * size, steps
        else:
            axes.append((size, steps))
    if len(axes) > rank:
        return None
    missing = rank - len(axes)
    return (
        [1] * missing + [size for size, _ in axes],
        [[0] * missing + [steps[i] for _, steps in axes] for i in range(len(strides))],
    )
