"""The first samples of a representative dataset, kept while it passes by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np


class KeptSamples:
    """Keeps samples of batches; a dataset may be one that can be read once only.

    Args:
      count: How many samples at most.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._batches: list[list[np.ndarray]] = []

    def watch(self, batches: Iterable[list[np.ndarray]]) -> Iterator[list[np.ndarray]]:
        """The batches as they are, one array per input."""
        for batch in batches:
            missing = self._count - sum(len(kept[0]) for kept in self._batches)
            if missing > 0:
                self._batches.append([array[:missing].copy() for array in batch])
            yield batch

    def fill(self, batches: Iterable[list[np.ndarray]]) -> None:
        """Reads batches until there are enough samples."""
        for _ in self.watch(batches):
            if sum(len(kept[0]) for kept in self._batches) >= self._count:
                return

    @property
    def arrays(self) -> list[np.ndarray] | None:
        """One array per input; None if nothing was seen."""
        if not self._batches:
            return None
        return [np.concatenate(parts) for parts in zip(*self._batches, strict=True)]
