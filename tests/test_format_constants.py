"""The constants of the format exist in C and in Python; here they are compared."""

import pathlib
import re
import struct

import numpy as np
import pytest
from packed_layers import random_layer

from tfmot_mltq import config
from tfmot_mltq.packing import encodings, packed_layer
from tfmot_mltq.packing import format as fmt
from tfmot_mltq.packing.encodings import bits, byte_indices, gap_codes, trits
from tfmot_mltq.packing.packed_layer import Geometry
from tfmot_mltq.runtime.operator_library import run_packed_layer

ROOT = pathlib.Path(__file__).parent.parent
HEADERS = "\n".join(
    (ROOT / "tflite_ops/core" / f"mltq_{name}.h").read_text()
    for name in ("format", "trits", "gap_codes", "byte_indices", "bits")
)
DEFINES = {
    name: int(value, 0)
    for name, value in re.findall(r"#define MLTQ_(\w+) (0x[0-9A-Fa-f]+|\d+)u?\b", HEADERS)
}


def test_header_layout():
    offset = 0
    seen = set()
    for name, code in fmt.HEADER_FIELDS:
        assert DEFINES[f"OFFSET_{name.upper()}"] == offset, name
        seen.add(f"OFFSET_{name.upper()}")
        offset += struct.calcsize("<" + code)
    assert DEFINES["HEADER_BYTES"] == offset == struct.calcsize(fmt.HEADER_STRUCT)
    assert seen == {name for name in DEFINES if name.startswith("OFFSET_")}


def test_activation_table():
    assert DEFINES["ACTIVATION_TABLE_BYTES"] == fmt.ACTIVATION_TABLE_BYTES


def test_enumerations():
    for prefix, enumeration in (("KIND", fmt.OperatorKind), ("PADDING", fmt.Padding)):
        in_c = {
            name.removeprefix(prefix + "_"): value
            for name, value in DEFINES.items()
            if name.startswith(prefix + "_")
        }
        assert in_c == {member.name: member.value for member in enumeration}


@pytest.mark.parametrize(
    "name",
    [
        "FORMAT_VERSION",
        "MAX_LEVELS",
        "MAX_SHIFT",
        "MACHINE_WORD_BYTES",
        "ENCODING_MASK",
        "ACTIVATION_LEVELS_MASK",
        "OUTPUT_LEVELS_SHIFT",
        "COUNT_BITS_SHIFT",
    ],
)
def test_single_constants(name):
    assert DEFINES[name] == getattr(fmt, name)


def refusal(byte, data):
    """What the core says of a layer with an encoding byte; None if it runs."""
    changed = data[:8] + bytes([byte]) + data[9:]
    try:
        run_packed_layer(changed, fmt.OperatorKind.CONV_2D, np.zeros((1, 1, 1, 9)), (1, 1, 1, 1))
    except ValueError as error:
        return str(error)
    return None


def test_known_encodings(rng):
    """The core refuses others, with a message of its own; where it knows one it may refuse its
    bytes, or this layer with it.
    """
    layer = random_layer(rng, None, levels=1, geometry=Geometry(fmt.OperatorKind.CONV_2D, 9, 1))
    data = packed_layer.encode(layer)
    unknown = refusal(len(fmt.COUNT_BITS) << fmt.COUNT_BITS_SHIFT, data)
    assert unknown is not None
    codes = range(fmt.ENCODING_MASK + 1)
    known = {code for code in codes if refusal(code, data) != unknown}
    assert known == set(encodings.ENCODINGS)


def test_constants_of_encodings():
    mask = DEFINES["GAP_CODES_PER_MACHINE_WORD"]
    gap_codes_in_c = [*(codes for codes in range(32) if mask >> codes & 1), 32]
    assert gap_codes_in_c == [encoding.code for encoding in gap_codes.ENCODINGS]
    assert DEFINES["TRITS_PER_BYTE"] == trits.TRITS_PER_BYTE
    assert DEFINES["INDEX_BLOCK"] == byte_indices.BLOCK
    for name, encoding in (
        ("TRITS", trits.TRITS),
        ("BYTE_INDICES", byte_indices.BYTE_INDICES),
        ("SIGN_BITS", bits.SIGN_BITS),
        ("BIT_PLANES", bits.BIT_PLANES),
    ):
        assert DEFINES[f"ENCODING_{name}"] == encoding.code


def test_ways_to_store_planes():
    header = (ROOT / "tflite_ops/core/mltq_layer.h").read_text()
    in_c = dict(re.findall(r"#define MLTQ_PLANES_(\w+) (\d+)u", header))
    assert in_c == {way.name: str(way.value) for way in encodings.Planes}


@pytest.mark.parametrize("description", encodings.DESCRIPTIONS)
def test_encodings_are_documented(description):
    """The page has the words of the modules."""
    page = (ROOT / "docs/packed_format.md").read_text()
    assert " ".join(description.split()) in " ".join(page.split())


def test_magic():
    assert bytes(DEFINES[f"MAGIC_{i}"] for i in range(4)) == fmt.MAGIC


def test_levels_of_the_mathematics_fit_the_format():
    assert config.MAX_LEVELS == fmt.MAX_LEVELS


def test_operator_names():
    in_tflm = re.findall(
        r'#define MLTQ_\w+_NAME "(\w+)"', (ROOT / "tflite_ops/tflm/mltq_tflm.h").read_text()
    )
    in_delegate = re.findall(
        r'\{"(MLTQ_\w+)", MLTQ_KIND', (ROOT / "tflite_ops/litert/mltq_delegate.c").read_text()
    )
    for file in ("lookup.c", "normalization.c"):
        source = (ROOT / "tflite_ops/litert" / file).read_text()
        in_delegate += re.findall(r'#define NAME "(\w+)"', source)
    names = [*fmt.CUSTOM_OP_NAMES.values(), fmt.LOOKUP_OP_NAME, fmt.NORMALIZATION_OP_NAME]
    assert in_tflm == in_delegate == names
