"""Encodings of planes: a module for each, and here what there is of them."""

from __future__ import annotations

from tfmot_mltq.packing.encodings import bits, byte_indices, gap_codes, trits
from tfmot_mltq.packing.encodings.encoding import Encoding, Planes
from tfmot_mltq.packing.format import OperatorKind

_MODULES = (trits, gap_codes, byte_indices, bits)

ENCODINGS: dict[int, Encoding] = {
    encoding.code: encoding for module in _MODULES for encoding in module.ENCODINGS
}
# In docs/packed_format.md, machine word for machine word.
DESCRIPTIONS = tuple(module.DESCRIPTION for module in _MODULES)


def codes_of(planes: Planes) -> tuple[int, ...]:
    """The encodings that store planes in a way."""
    return tuple(code for code, encoding in ENCODINGS.items() if encoding.planes == planes)


CODED = codes_of(Planes.CODED)
BITS = codes_of(Planes.BITS)
INDICES = codes_of(Planes.INDICES)


def ways_to_store(kind: OperatorKind, activation_levels: int) -> list[Planes]:
    """How a layer of an operator, with so many levels of the input, may have its planes."""
    return [
        planes
        for planes in Planes
        if all(ENCODINGS[code].fits(kind, activation_levels) for code in codes_of(planes))
    ]


def reads_of(planes: Planes) -> tuple[str, ...]:
    """What the kernels count as they read planes that are stored in a way."""
    return tuple(dict.fromkeys(name for code in codes_of(planes) for name in ENCODINGS[code].reads))


def check_code(code: int) -> None:
    """Raises ValueError if there is no such encoding."""
    if code not in ENCODINGS:
        raise ValueError(f"encoding must be one of {tuple(ENCODINGS)}, got {code!r}.")
