"""Which encoding each level of a layer gets."""

from __future__ import annotations

import numpy as np

from tfmot_mltq.cost_model.predict import check_target, instructions, scratch_bytes
from tfmot_mltq.kernels import Call
from tfmot_mltq.kernels.plane_counts import count_planes
from tfmot_mltq.packing import plane_codec
from tfmot_mltq.packing.encodings import CODED, Planes, ways_to_store

OPTIMIZE = ("size", "speed", "balanced")
DEFAULT_TARGET = "cortex-m4"


def check_optimize(optimize: str, target: str) -> None:
    """Raises ValueError if there is no such choice or target."""
    if optimize not in OPTIMIZE:
        raise ValueError(f"optimize must be one of {OPTIMIZE}, got {optimize!r}.")
    check_target(target)


def choose_encodings(
    call: Call,
    planes: np.ndarray,
    optimize: str = "size",
    target: str = DEFAULT_TARGET,
    encoding: int | None = None,
    max_scratch_bytes: int | None = None,
) -> list[int]:
    """The encoding of each plane of shape (levels, output_channels, row_size), and with it which
    kernel runs: the one that adds, or for layers with activation levels the bitwise one.

    Args:
      call: Layer and sizes.
      planes: Values -1, 0, +1.
      optimize: "size": the fewest bytes. "speed": the fewest predicted instructions, then bytes.
        "balanced": the smallest product of the instructions of the layer and the bytes of its
        planes.
      target: Whose instructions and scratch; one of ``targets()``.
      encoding: The only choice, for all planes.
      max_scratch_bytes: Most scratch that the layer may need.

    Raises:
      ValueError: Every choice needs more scratch.
    """

    def cost(candidate: list[int], optimize: str) -> tuple[float, float]:
        size = sum(map(plane_codec.plane_bytes, planes, candidate))
        count = instructions(call, count_planes(planes, candidate), target)
        if count is None:
            count = np.inf
        if optimize == "size":
            return size, count
        return (count, size) if optimize == "speed" else (count * size, size)

    def improve(start: list[int], optimize: str) -> list[int]:
        """Changes one level after the other."""
        best = start
        for level in range(len(planes)):
            options = [[*best[:level], code, *best[level + 1 :]] for code in CODED]
            best = min([best, *options], key=lambda option: cost(option, optimize))
        return best

    def stored(way: Planes) -> list[list[int]]:
        """The choices worth a look that store the planes in a way."""
        smallest = [plane_codec.best_encoding(plane, way) for plane in planes]
        # Which bits a plane is stored as follows from whether it has zeros.
        if way != Planes.CODED or optimize == "size":
            return [smallest]
        if not np.isfinite(cost(smallest, "speed")[0]):
            return [smallest]
        # What a level costs does not depend on the others, so this is the fastest choice; the
        # smallest product is looked for from both ends.
        ends = [smallest, improve(smallest, "speed")]
        return ends if optimize == "speed" else [improve(end, "balanced") for end in ends]

    if encoding is not None:
        candidates = [[encoding] * len(planes)]
    else:
        ways = ways_to_store(call.geometry.kind, call.activation_levels)
        candidates = [candidate for way in ways for candidate in stored(way)]
    if max_scratch_bytes is not None:
        candidates = _fitting(call, planes, candidates, target, max_scratch_bytes)
    return min(candidates, key=lambda candidate: cost(candidate, optimize))


def _fitting(
    call: Call, planes: np.ndarray, candidates: list[list[int]], target: str, limit: int
) -> list[list[int]]:
    """The choices that need at most so much scratch. The reference kernels need hardly any."""
    needed = [
        scratch_bytes(call, count_planes(planes, candidate), target) for candidate in candidates
    ]
    if min(needed) > limit:
        raise ValueError(
            f"It needs {min(needed):,} bytes of scratch on {target}, more than "
            f"max_scratch_bytes={limit:,}. Narrower images, fewer input channels, smaller filters "
            "or fewer activation levels need less."
        )
    return [c for c, size in zip(candidates, needed, strict=True) if size <= limit]
