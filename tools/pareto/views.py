"""A fixed set of augmented copies of the images, so that a teacher answers each only once."""

from __future__ import annotations

import numpy as np

SHIFT = 4
# Streams of random numbers, apart from each other whatever the numbers behind them.
_SHIFTS, _FLIPS = 1, 2


class Views:
    """Augmented copies of images: shifted by up to four pixels, the border reflected, and mirrored.

    Copies 2p and 2p + 1 have the same shifts and are mirror images of each other (alternating
    flip): whoever sees them in turn sees every image both ways. How image i looks in copy k depends
    on the seed, k and i alone.

    Args:
      images: uint8, shape (images, size, size, channels).
      seed: Of shifts and flips.
    """

    def __init__(self, images: np.ndarray, seed: int) -> None:
        border = (SHIFT, SHIFT)
        self._padded = np.pad(images, ((0, 0), border, border, (0, 0)), mode="reflect")
        self._size = images.shape[1]
        self._seed = seed
        self._flips = np.random.default_rng([seed, _FLIPS]).random(len(images)) < 0.5
        self._pair = -1
        self._offsets = np.empty(0)

    def __len__(self) -> int:
        return len(self._padded)

    def batch(self, copy: int, picked: np.ndarray) -> np.ndarray:
        """Some images of a copy, uint8."""
        pixels = np.arange(self._size)
        top, left = self._shifts(copy // 2)[:, picked, None]
        rows, columns = top + pixels, left + pixels
        mirrored = self._flips[picked] ^ bool(copy % 2)
        columns[mirrored] = columns[mirrored, ::-1]
        return self._padded[picked[:, None, None], rows[:, :, None], columns[:, None, :]]

    def _shifts(self, pair: int) -> np.ndarray:
        """Rows and columns by which all images are shifted in a pair of copies."""
        if pair != self._pair:
            rng = np.random.default_rng([self._seed, _SHIFTS, pair])
            self._offsets = rng.integers(0, 2 * SHIFT + 1, (2, len(self)))
            self._pair = pair
        return self._offsets
