"""Where tensors lie in an arena, when they are needed at different times."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

ALIGNMENT = 16


@dataclasses.dataclass(frozen=True)
class Buffer:
    """Memory that is needed from one step to another, both included.

    Attributes:
      size: Bytes.
      first, last: Steps.
    """

    size: int
    first: int
    last: int


def plan_memory(buffers: Sequence[Buffer]) -> tuple[list[int], int]:
    """Offsets of the buffers, aligned, and the bytes of the whole arena.

    Largest first, each at the lowest place where it meets no other that is needed at the same time,
    as TensorFlow Lite Micro's greedy planner does.
    """
    order = sorted(range(len(buffers)), key=lambda i: (-buffers[i].size, buffers[i].first))
    offsets = [0] * len(buffers)
    placed: list[int] = []
    for index in order:
        buffer = buffers[index]
        offset = 0
        meeting = [
            other
            for other in placed
            if buffers[other].first <= buffer.last and buffer.first <= buffers[other].last
        ]
        for other in sorted(meeting, key=offsets.__getitem__):
            if offset + _aligned(buffer.size) <= offsets[other]:
                break
            offset = max(offset, offsets[other] + _aligned(buffers[other].size))
        offsets[index] = offset
        placed.append(index)
    ends = [offset + _aligned(buffer.size) for offset, buffer in zip(offsets, buffers, strict=True)]
    return offsets, max(ends, default=0)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
