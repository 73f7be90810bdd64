"""Planes to bytes and back, in any of the encodings, and the smallest of these.

A plane of one level has one row per output channel: integers -1, 0, +1 of shape (rows, n).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfmot_mltq.packing.encodings import ENCODINGS, Planes, check_code, codes_of
from tfmot_mltq.packing.encodings.machine_words import count_bits
from tfmot_mltq.packing.format import COUNT_BITS, COUNT_BITS_SHIFT, ENCODING_MASK


def encode_plane(plane: np.ndarray, encoding: int) -> bytes:
    """Packs a plane.

    Raises:
      ValueError: The plane holds another value, or one that the encoding cannot store, or the
        encoding is unknown.
    """
    plane = np.asarray(plane)
    if not np.isin(plane, (-1, 0, 1)).all():
        raise ValueError("A plane may only hold -1, 0 and +1.")
    check_code(encoding)
    return ENCODINGS[encoding].encode(plane)


def encoding_byte(plane: np.ndarray, encoding: int) -> int:
    """What the header says of a plane in an encoding."""
    return encoding | COUNT_BITS.index(count_bits(plane)) << COUNT_BITS_SHIFT


def decode_plane(
    data: bytes, offset: int, rows: int, size: int, encoding_byte: int
) -> tuple[np.ndarray, int]:
    """Unpacks a plane of shape (rows, size) at ``offset``; returns it and the offset after it.

    Raises:
      ValueError: The bytes are not such a plane.
    """
    encoding, width = encoding_byte & ENCODING_MASK, encoding_byte >> COUNT_BITS_SHIFT
    check_code(encoding)
    if width >= len(COUNT_BITS):
        raise ValueError("The encoding of a level is unknown.")
    return ENCODINGS[encoding].decode(data, offset, rows, size, COUNT_BITS[width])


def plane_bytes(plane: np.ndarray, encoding: int) -> int:
    """Bytes that a plane takes, without packing it."""
    return ENCODINGS[encoding].size(plane)


def best_encoding(plane: np.ndarray, planes: Planes = Planes.CODED) -> int:
    """The encoding with the fewest bytes of those that store planes in a way; ties go to the
    first.
    """
    codes = [code for code in codes_of(planes) if ENCODINGS[code].holds(plane)]
    least = {code: ENCODINGS[code].least_size(plane) for code in codes}
    sizes: dict[int, int] = {}
    for code in sorted(codes, key=least.__getitem__):
        if sizes and least[code] > min(sizes.values()):
            break
        sizes[code] = plane_bytes(plane, code)
    return min(sizes, key=lambda code: (sizes[code], codes.index(code)))


def best_encodings(planes: np.ndarray, ways: Sequence[Planes] = (Planes.CODED,)) -> list[int]:
    """The encodings with the fewest bytes for planes of shape (levels, rows, n), which all are
    stored in one of these ways.
    """
    choices = [[best_encoding(plane, way) for plane in planes] for way in ways]
    return min(choices, key=lambda chosen: sum(map(plane_bytes, planes, chosen)))


def entropy_bytes(planes: np.ndarray) -> float:
    """Entropy bound: (H(d) + d) / 8 bytes per entry of a plane with density d, over all planes.

    H is the binary entropy (where the entries are); d more bits say their signs.
    """
    total = 0.0
    for plane in planes:
        density = np.count_nonzero(plane) / plane.size
        bits = density
        if 0 < density < 1:
            bits -= density * np.log2(density) + (1 - density) * np.log2(1 - density)
        total += plane.size * bits / 8
    return total
