"""What an encoding of planes is.

A plane of one level has one row per output channel: integers -1, 0, +1 of shape (rows, n). Each
encoding has a module, with its description in ``docs/packed_format.md``, and a header in
tflite_ops/core.
"""

from __future__ import annotations

import abc
import enum

import numpy as np

from tfmot_mltq.packing.format import OperatorKind


class Planes(enum.IntFlag):
    """How the planes of a layer are stored, all of them or none: C's MLTQ_PLANES_*."""

    CODED = 1
    BITS = 2
    INDICES = 4


class Encoding(abc.ABC):
    """An encoding.

    Attributes:
      code: Its number, in the low bits of the encoding byte of a level.
      planes: What the kernels need to know of it.
      reads: What the kernels count as they read it: the keys of ``counts``.
    """

    code: int
    planes: Planes
    reads: tuple[str, ...]

    def fits(self, kind: OperatorKind, activation_levels: int) -> bool:
        """Whether a layer of an operator, with so many levels of the input, may have it."""
        return True

    def holds(self, plane: np.ndarray) -> bool:
        """Whether it can store a plane."""
        return True

    @abc.abstractmethod
    def encode(self, plane: np.ndarray) -> bytes:
        """Packs the rows of a plane that it holds."""

    @abc.abstractmethod
    def decode(
        self, data: bytes, offset: int, rows: int, size: int, count_bits: int
    ) -> tuple[np.ndarray, int]:
        """Unpacks a plane of shape (rows, size) at ``offset``; returns it and the offset after it.

        Raises:
          ValueError: The bytes are not such a plane.
        """

    @abc.abstractmethod
    def size(self, plane: np.ndarray) -> int:
        """Bytes that a plane takes, without packing it."""

    def least_size(self, plane: np.ndarray) -> int:
        """No more bytes than ``size``, where that takes long and a bound does not."""
        return self.size(plane)

    @abc.abstractmethod
    def counts(self, plane: np.ndarray) -> dict[str, int]:
        """What the kernels read of a plane, by the names in ``reads``."""
