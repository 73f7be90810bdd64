"""Finding a border with few tests."""

from __future__ import annotations

import functools
from collections.abc import Callable

_STRIDE = 4


def highest_passing(count: int, passes: Callable[[int], bool]) -> int | None:
    """The highest index below ``count`` that passes, where low ones pass and high ones fail.

    Strides up until a test fails, then bisects. Tests are noisy near the border: the index beyond
    the first failure is tested too, and the search goes on from there if it passes.

    Args:
      count: Number of indices.
      passes: The test; called once per index at most.

    Returns:
      An index that passed; None if none did.
    """
    passes = functools.cache(passes)
    low, high = -1, count
    while low < count - 1:
        index = min(low + _STRIDE, count - 1)
        if not passes(index):
            high = index
            break
        low = index
    while True:
        while high - low > 1:
            middle = (low + high) // 2
            if passes(middle):
                low = middle
            else:
                high = middle
        if high + 1 >= count or not passes(high + 1):
            return None if low < 0 else low
        low = high + 1
        while low + 1 < count and passes(low + 1):
            low += 1
        high = low + 1
