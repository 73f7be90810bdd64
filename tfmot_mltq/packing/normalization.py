"""A normalisation: what one call of MLTQ_NORMALIZATION needs, as fields and as bytes."""

from __future__ import annotations

import dataclasses
import struct

import numpy as np

MAGIC = b"MLTN"
VERSION = 1
MAX_GROUP = 2**18 - 1
MAX_SHIFT = 30
EPSILON_BITS = 12
MAX_EPSILON = 2**62 - 1

# Fields of the header and their codes for struct, little-endian, in the order of the fields of C's
# MLTQ_NORMALIZATION_OFFSET_*.
HEADER_FIELDS = (
    ("magic", "4s"),
    ("version", "B"),
    ("subtract_mean", "B"),
    ("input_zero_point", "b"),
    ("output_zero_point", "b"),
    ("activation_min", "b"),
    ("activation_max", "b"),
    ("shift", "B"),
    ("reserved", "B"),
    ("total_bytes", "I"),
    ("outer", "I"),
    ("members", "I"),
    ("groups", "I"),
    ("channels", "I"),
    ("epsilon", "Q"),
    ("table_size", "I"),
)
HEADER_STRUCT = "<" + "".join(code for _, code in HEADER_FIELDS)


@dataclasses.dataclass(frozen=True)
class Grouping:
    """Where the groups are: a tensor of outer x members x groups x channels values, in this order,
    has ``groups`` groups in each ``outer``.
    """

    outer: int
    members: int
    groups: int
    channels: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the tensor."""
        return (self.outer, self.members, self.groups, self.channels)

    @property
    def size(self) -> int:
        """Values of the tensor."""
        return self.outer * self.members * self.groups * self.channels

    @property
    def group_size(self) -> int:
        """Values of one group."""
        return self.members * self.channels


@dataclasses.dataclass(frozen=True)
class PackedNormalization:
    """The fields that tflite_ops/core/mltq_normalization_format.h specifies.

    Attributes:
      grouping: The groups.
      subtract_mean: Whether the mean of a group is subtracted, or the zero point of the input.
      epsilon: In units of 2^-12 of what the sum of squares is in.
      gains, offsets: int32, shape (table_size,), in units of 2^-shift output steps.
      shift: Fraction bits of gains and offsets.
      input_zero_point, output_zero_point: Of the tensors.
      activation_min, activation_max: Range of the output.
    """

    grouping: Grouping
    subtract_mean: bool
    epsilon: int
    gains: np.ndarray
    offsets: np.ndarray
    shift: int
    input_zero_point: int
    output_zero_point: int
    activation_min: int = -128
    activation_max: int = 127


def encode(packed: PackedNormalization) -> bytes:
    """The bytes of the packed tensor."""
    header = struct.calcsize(HEADER_STRUCT)
    fields = {
        "magic": MAGIC,
        "version": VERSION,
        "subtract_mean": int(packed.subtract_mean),
        "input_zero_point": packed.input_zero_point,
        "output_zero_point": packed.output_zero_point,
        "activation_min": packed.activation_min,
        "activation_max": packed.activation_max,
        "shift": packed.shift,
        "reserved": 0,
        "total_bytes": header + 8 * packed.gains.size,
        **dataclasses.asdict(packed.grouping),
        "epsilon": packed.epsilon,
        "table_size": packed.gains.size,
    }
    values = (fields[name] for name, _ in HEADER_FIELDS)
    tables = (packed.gains.astype("<i4"), packed.offsets.astype("<i4"))
    return struct.pack(HEADER_STRUCT, *values) + b"".join(table.tobytes() for table in tables)


def decode(data: bytes) -> PackedNormalization:
    """The fields of a packed tensor.

    Raises:
      ValueError: The operator would refuse it; with the field.
    """
    header = struct.calcsize(HEADER_STRUCT)
    if len(data) < header:
        raise ValueError("it is shorter than its header")
    names = (name for name, _ in HEADER_FIELDS)
    fields = dict(zip(names, struct.unpack_from(HEADER_STRUCT, data), strict=True))
    grouping = Grouping(*(fields[name] for name in ("outer", "members", "groups", "channels")))
    table_size = fields["table_size"]
    rules = {
        "magic": fields["magic"] == MAGIC,
        "version": fields["version"] == VERSION,
        "subtract_mean": fields["subtract_mean"] <= 1,
        "activation_min": fields["activation_min"] <= fields["activation_max"],
        "shift": fields["shift"] <= MAX_SHIFT,
        "reserved": fields["reserved"] == 0,
        "epsilon": fields["epsilon"] <= MAX_EPSILON,
        "members": 0 < grouping.group_size <= MAX_GROUP,
        "groups": 0 < grouping.size < 2**31,
        "table_size": table_size > 0
        and table_size % max(grouping.channels, 1) == 0
        and grouping.size % table_size == 0,
        "total_bytes": fields["total_bytes"] == len(data) == header + 8 * table_size,
    }
    for name, holds in rules.items():
        if not holds:
            raise ValueError(f"{name} is out of range")
    gains, offsets = np.frombuffer(data, "<i4", offset=header).reshape(2, -1)
    return PackedNormalization(
        grouping,
        bool(fields["subtract_mean"]),
        fields["epsilon"],
        gains,
        offsets,
        fields["shift"],
        fields["input_zero_point"],
        fields["output_zero_point"],
        fields["activation_min"],
        fields["activation_max"],
    )


def from_real(
    grouping: Grouping,
    subtract_mean: bool,
    epsilon: float,
    gain: np.ndarray,
    offset: np.ndarray,
    source: tuple[float, int],
    target: tuple[float, int],
) -> PackedNormalization:
    """A normalisation of real values in integers.

    Args:
      grouping: The groups.
      subtract_mean: Whether the mean of a group is subtracted.
      epsilon: Added to the mean square.
      gain: float64, shape (table_size,).
      offset: Likewise.
      source: Scale and zero point of the input.
      target: Those of the output.
    """
    size = grouping.group_size
    # The kernel's D is N times as large where the mean is subtracted, and its V the sum of squares
    # times N; otherwise V is the sum of squares.
    in_squares = size * size if subtract_mean else size
    integer_epsilon = round(epsilon / source[0] ** 2 * in_squares * 2**EPSILON_BITS)
    factor = 1.0 if subtract_mean else np.sqrt(size)
    real = np.stack([gain * factor, offset]) / target[0]
    shift = MAX_SHIFT - max(0, int(np.ceil(np.log2(max(np.abs(real).max(), 1e-9)))))
    table = np.rint(np.clip(real * 2.0**shift, -(2**31) + 1, 2**31 - 1)).astype(np.int32)
    return PackedNormalization(
        grouping,
        subtract_mean,
        min(integer_epsilon, MAX_EPSILON),
        table[0],
        table[1],
        shift,
        source[1],
        target[1],
    )
