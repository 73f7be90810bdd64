"""Encodings of planes: a module for each, and here what there is of them."""

from __future__ import annotations

from tfmot_mltq.packing.encodings import bits, gap_codes, trits
from tfmot_mltq.packing.encodings.encoding import Encoding, Planes
from tfmot_mltq.packing.format import OperatorKind

ENCODINGS: dict[int, Encoding] = {
    encoding.code: encoding
    for encoding in (trits.TRITS, *gap_codes.GAP_CODES, bits.SIGN_BITS, bits.BIT_PLANES)
}
# In docs/packed_format.md, machine word for machine word.
DESCRIPTIONS = (trits.DESCRIPTION, gap_codes.DESCRIPTION, bits.DESCRIPTION)


def codes_of(planes: Planes) -> tuple[int, ...]:
    """The encodings that store planes in a way."""
    return tuple(code for code, encoding in ENCODINGS.items() if encoding.planes == planes)


CODED = codes_of(Planes.CODED)
BITS = codes_of(Planes.BITS)


def ways_to_store(kind: OperatorKind, activation_levels: int) -> list[Planes]:
    """How a layer of an operator, with so many levels of the input, may have its planes."""
    return [
        planes
        for planes in Planes
        if all(ENCODINGS[code].fits(kind, activation_levels) for code in codes_of(planes))
    ]


def check_code(code: int) -> None:
    """Raises ValueError if there is no such encoding."""
    if code not in ENCODINGS:
        raise ValueError(f"encoding must be one of {tuple(ENCODINGS)}, got {code!r}.")
