"""Which encoding each level of a layer gets."""

from __future__ import annotations

import numpy as np

from tfmot_mltq.cost_model.kernel_plan import Call
from tfmot_mltq.cost_model.kernel_work import count_planes
from tfmot_mltq.cost_model.predict import check_target, instructions
from tfmot_mltq.packing import format as fmt
from tfmot_mltq.packing import plane_codec

OPTIMIZE = ("size", "speed", "balanced")
DEFAULT_TARGET = "cortex-m4"


def check_optimize(optimize: str, target: str) -> None:
    """Raises ValueError if there is no such choice or target."""
    if optimize not in OPTIMIZE:
        raise ValueError(f"optimize must be one of {OPTIMIZE}, got {optimize!r}.")
    check_target(target)


def choose_encodings(
    call: Call, planes: np.ndarray, optimize: str = "size", target: str = DEFAULT_TARGET
) -> list[int]:
    """The encoding of each plane of shape (levels, output_channels, row_size).

    Args:
      call: Layer and sizes.
      planes: Values -1, 0, +1.
      optimize: "size": the fewest bytes. "speed": the fewest predicted instructions, then bytes.
        "balanced": the smallest product of the instructions of the layer and the bytes of its
        planes.
      target: Whose instructions; one of ``targets()``.
    """
    encodings = [plane_codec.best_encoding(plane) for plane in planes]
    if optimize == "size":
        return encodings
    if instructions(call, len(planes), count_planes(planes, encodings), target) is None:
        return encodings

    def cost(candidate: list[int], optimize: str) -> tuple[float, float]:
        size = sum(map(plane_codec.plane_bytes, planes, candidate))
        count = instructions(call, len(planes), count_planes(planes, candidate), target)
        assert count is not None
        return (count, size) if optimize == "speed" else (count * size, size)

    def improve(start: list[int], optimize: str) -> list[int]:
        """Changes one level after the other."""
        best = start
        for level in range(len(planes)):
            options = [[*best[:level], e, *best[level + 1 :]] for e in fmt.ENCODINGS]
            best = min([best, *options], key=lambda option: cost(option, optimize))
        return best

    # What a level costs does not depend on the others, so this is the fastest choice; the smallest
    # product is looked for from both ends.
    fastest = improve(encodings, "speed")
    if optimize == "speed":
        return fastest
    ends = (encodings, fastest)
    return min(
        (improve(end, "balanced") for end in ends), key=lambda option: cost(option, "balanced")
    )
