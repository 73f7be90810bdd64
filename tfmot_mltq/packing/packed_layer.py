"""A packed layer: what one operator call needs, as fields and as bytes."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfmot_mltq.packing import format as fmt
from tfmot_mltq.packing import plane_codec
from tfmot_mltq.packing.encodings import ENCODINGS, Planes, byte_indices


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Filter and window of a layer. A fully connected layer keeps the defaults.

    Attributes:
      kind: Operator.
      input_channels, output_channels: Channels of the tensors.
      filter_size, stride, dilation: (height, width).
      padding: SAME or VALID.
    """

    kind: fmt.OperatorKind
    input_channels: int
    output_channels: int
    filter_size: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: fmt.Padding = fmt.Padding.VALID

    @property
    def row_size(self) -> int:
        """Entries of one plane of one output channel."""
        taps = self.filter_size[0] * self.filter_size[1]
        return (
            taps if self.kind == fmt.OperatorKind.DEPTHWISE_CONV_2D else taps * self.input_channels
        )


@dataclasses.dataclass(frozen=True)
class ActivationTable:
    """What an operator makes of its int8 input x: the sum over k of scales[k] * U_k[x].

    Attributes:
      scales: int8, shape (levels,), not negative, with a sum of at most 127.
      planes: int8, shape (levels, 256): U_k in {-1, 0, +1} of every int8 value, from -128 on.
    """

    scales: np.ndarray
    planes: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """The sums, int64, shape (256,)."""
        return self.scales.astype(np.int64) @ self.planes

    def to_bytes(self) -> bytes:
        """The table of the packed format.

        Raises:
          ValueError: The scales do not fit.
        """
        levels = len(self.scales)
        if not 1 <= levels <= fmt.MAX_LEVELS or self.planes.shape != (levels, 256):
            raise ValueError(f"An activation table of {levels} levels does not fit the format.")
        if (self.scales < 0).any() or int(self.scales.sum()) > 127:
            raise ValueError(f"Activation scales {self.scales} must add up to at most 127.")
        codes = 3 ** np.arange(levels) @ (self.planes.astype(np.int64) + 1)
        return bytes(self.scales.astype(np.int8)).ljust(fmt.MAX_LEVELS, b"\0") + bytes(
            codes.astype(np.uint8)
        )

    @classmethod
    def from_bytes(cls, data: bytes, levels: int) -> ActivationTable:
        """The table of a packed layer."""
        scales = np.frombuffer(data, np.int8, levels)
        codes = np.frombuffer(data, np.uint8, 256, fmt.MAX_LEVELS).astype(np.int64)
        digits = codes // 3 ** np.arange(levels)[:, None] % 3
        return cls(scales.copy(), (digits - 1).astype(np.int8))


@dataclasses.dataclass(frozen=True)
class PackedLayer:
    """Integers of one operator call; the arithmetic is in ``tfmot_mltq.reference.ops``.

    Attributes:
      geometry: Filter and window.
      planes: int8, shape (levels, output_channels, row_size), values -1, 0, +1.
      multipliers: int16, shape (output_channels, levels).
      biases: int32, shape (output_channels,).
      shifts: uint8, shape (output_channels,).
      input_zero_point: Zero point of the int8 input.
      activation_min, activation_max: Clamp of the int8 output.
      activation_table: Levels of the input; None leaves it int8. The zero point is 0 then.
      output_activation_table: Levels of the output, for a reader whose input is their sum; None
        leaves it int8.
    """

    geometry: Geometry
    planes: np.ndarray
    multipliers: np.ndarray
    biases: np.ndarray
    shifts: np.ndarray
    input_zero_point: int
    activation_min: int
    activation_max: int
    activation_table: ActivationTable | None = None
    output_activation_table: ActivationTable | None = None

    @property
    def levels(self) -> int:
        """Number of planes."""
        return int(self.planes.shape[0])

    @property
    def activation_levels(self) -> int:
        """Levels of the input; 0 if it is int8."""
        return 0 if self.activation_table is None else len(self.activation_table.scales)


_HEADER_BYTES = struct.calcsize(fmt.HEADER_STRUCT)


def table_bytes(output_channels: int, levels: int, activation_tables: int = 0) -> int:
    """Bytes of the header, the channel tables and so many activation tables."""
    activations = activation_tables * fmt.ACTIVATION_TABLE_BYTES
    return _HEADER_BYTES + output_channels * (4 + 2 * levels + 1) + activations


def _planes_offset(output_channels: int, levels: int, activation_tables: int) -> int:
    """Where the planes of the first level start: after the tables, at a machine word."""
    size = table_bytes(output_channels, levels, activation_tables)
    return -(-size // fmt.MACHINE_WORD_BYTES) * fmt.MACHINE_WORD_BYTES


def packed_bytes(
    planes: np.ndarray, encodings: Sequence[int] | None = None, activation_tables: int = 0
) -> int:
    """Bytes of a packed layer with ``planes`` of shape (levels, output_channels, row_size), each
    level in its encoding; by default in the smallest of those that every layer can have.
    """
    if encodings is None:
        encodings = plane_codec.best_encodings(planes)
    streams = map(plane_codec.plane_bytes, planes, encodings)
    start = _planes_offset(planes.shape[1], planes.shape[0], activation_tables)
    return start + sum(streams)


def encode(layer: PackedLayer, encodings: Sequence[int] | None = None) -> bytes:
    """Packs a layer.

    Args:
      layer: The integers.
      encodings: Forces the encoding of each level; by default the smallest is taken.

    Raises:
      ValueError: A field does not fit the format.
    """
    if encodings is None:
        encodings = plane_codec.best_encodings(layer.planes)
    _check(layer, encodings)
    tables = _encode_tables(layer, _stored_biases(layer, encodings))
    streams = list(map(plane_codec.encode_plane, layer.planes, encodings))
    offsets = np.cumsum([_HEADER_BYTES + len(tables), *map(len, streams)])
    return _encode_header(layer, encodings, offsets) + tables + b"".join(streams)


def _check(layer: PackedLayer, encodings: Sequence[int]) -> None:
    geometry = layer.geometry
    expected = (layer.levels, geometry.output_channels, geometry.row_size)
    if layer.planes.shape != expected or not 1 <= layer.levels <= fmt.MAX_LEVELS:
        raise ValueError(f"planes have shape {layer.planes.shape}, the geometry needs {expected}.")
    if len(encodings) != layer.levels or not set(encodings) <= set(ENCODINGS):
        known = tuple(ENCODINGS)
        raise ValueError(f"encodings must be {layer.levels} of {known}, got {encodings}.")
    found = [ENCODINGS[code] for code in encodings]
    fits = all(encoding.fits(geometry.kind, layer.activation_levels) for encoding in found)
    if not fits or len({encoding.planes for encoding in found}) > 1:
        raise ValueError(
            f"Encodings {encodings} do not fit the layer: bits need activation levels and no "
            "depthwise filter, byte indices a fully connected layer, and both must be those of "
            "all levels."
        )
    if layer.activation_table is not None and layer.input_zero_point != 0:
        raise ValueError("A layer with activation levels has the input zero point 0.")


def _bias_offsets(planes: np.ndarray, multipliers: np.ndarray, zero_point: int) -> np.ndarray:
    """What biases are less where planes are stored as byte indices, shape (output_channels,)."""
    least = byte_indices.least_sums(planes, zero_point)
    return -(multipliers.astype(np.int64) * least).sum(1)


def _stored_biases(layer: PackedLayer, encodings: Sequence[int]) -> np.ndarray:
    """The biases of the packed format, uint32."""
    biases = layer.biases.astype(np.int64)
    if ENCODINGS[encodings[0]].planes == Planes.INDICES:
        biases -= _bias_offsets(layer.planes, layer.multipliers, layer.input_zero_point)
    return (biases % 2**32).astype(np.uint32)


def _encode_tables(layer: PackedLayer, biases: np.ndarray) -> bytes:
    """What is between the header and the planes."""
    tables = (layer.activation_table, layer.output_activation_table)
    present = [table for table in tables if table is not None]
    size = _planes_offset(layer.geometry.output_channels, layer.levels, len(present))
    return b"".join(
        [
            biases.astype("<u4").tobytes(),
            layer.multipliers.astype("<i2").tobytes(),
            layer.shifts.astype("u1").tobytes(),
            *(table.to_bytes() for table in present),
        ]
    ).ljust(size - _HEADER_BYTES, b"\0")


def _encode_header(layer: PackedLayer, encodings: Sequence[int], offsets: np.ndarray) -> bytes:
    """The header; ``offsets`` are those of the levels and of the end."""
    geometry, output = layer.geometry, layer.output_activation_table
    output_levels = 0 if output is None else len(output.scales)
    fields = {
        "magic": fmt.MAGIC,
        "version": fmt.FORMAT_VERSION,
        "kind": geometry.kind,
        "levels": layer.levels,
        "activation_levels": layer.activation_levels | output_levels << fmt.OUTPUT_LEVELS_SHIFT,
        "encoding": bytes(map(plane_codec.encoding_byte, layer.planes, encodings)),
        "total_bytes": int(offsets[-1]),
        "input_channels": geometry.input_channels,
        "output_channels": geometry.output_channels,
        **dict(zip(("filter_h", "filter_w"), geometry.filter_size, strict=True)),
        **dict(zip(("stride_h", "stride_w"), geometry.stride, strict=True)),
        **dict(zip(("dilation_h", "dilation_w"), geometry.dilation, strict=True)),
        "padding": geometry.padding,
        "input_zero_point": layer.input_zero_point,
        "activation_min": layer.activation_min,
        "activation_max": layer.activation_max,
        "level_offsets": offsets[:-1].astype("<u4").tobytes(),
    }
    try:
        return struct.pack(fmt.HEADER_STRUCT, *(fields[name] for name, _ in fmt.HEADER_FIELDS))
    except struct.error as error:
        raise ValueError(
            f"The layer does not fit the packed format: {error}. {geometry}"
        ) from error


def encodings(data: bytes) -> list[int]:
    """The encoding of each level of a packed layer.

    Raises:
      ValueError: The bytes are not a packed layer of this version.
    """
    header = _read_header(data)
    return [code & fmt.ENCODING_MASK for code in header["encoding"][: header["levels"]]]


def decode(data: bytes) -> PackedLayer:
    """Unpacks a layer.

    Raises:
      ValueError: The bytes are not a packed layer of this version.
    """
    header = _read_header(data)
    if not 1 <= header["levels"] <= fmt.MAX_LEVELS or header["total_bytes"] != len(data):
        raise ValueError("A packed layer has a wrong number of levels or of bytes.")
    geometry = Geometry(
        kind=fmt.OperatorKind(header["kind"]),
        input_channels=header["input_channels"],
        output_channels=header["output_channels"],
        filter_size=(header["filter_h"], header["filter_w"]),
        stride=(header["stride_h"], header["stride_w"]),
        dilation=(header["dilation_h"], header["dilation_w"]),
        padding=fmt.Padding(header["padding"]),
    )
    tables, offset = _read_tables(data, header)
    planes = _read_planes(data, header, geometry, offset)
    if ENCODINGS[header["encoding"][0] & fmt.ENCODING_MASK].planes == Planes.INDICES:
        offsets = _bias_offsets(planes, tables["multipliers"], header["input_zero_point"])
        biases = (tables["biases"] + offsets) % 2**32
        tables["biases"] = biases.astype(np.uint32).view(np.int32)
    return PackedLayer(
        geometry=geometry,
        planes=planes,
        **tables,
        input_zero_point=header["input_zero_point"],
        activation_min=header["activation_min"],
        activation_max=header["activation_max"],
    )


def _read_header(data: bytes) -> dict[str, Any]:
    if len(data) < _HEADER_BYTES:
        raise ValueError("A packed layer is shorter than its header.")
    values = struct.unpack_from(fmt.HEADER_STRUCT, data)
    names = [name for name, _ in fmt.HEADER_FIELDS]
    header = dict(zip(names, values, strict=True))
    if header["magic"] != fmt.MAGIC or header["version"] != fmt.FORMAT_VERSION:
        raise ValueError(
            f"Not a packed layer: bad magic or unsupported version (expected {fmt.FORMAT_VERSION})."
        )
    return header


def _read_tables(data: bytes, header: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """The fields of ``PackedLayer`` between the header and the planes, and where these begin."""
    levels, channels = header["levels"], header["output_channels"]
    table_levels = (
        header["activation_levels"] & fmt.ACTIVATION_LEVELS_MASK,
        header["activation_levels"] >> fmt.OUTPUT_LEVELS_SHIFT,
    )
    if max(table_levels) > fmt.MAX_LEVELS:
        raise ValueError("A packed layer has a wrong number of activation levels.")
    end = _planes_offset(channels, levels, int(np.count_nonzero(table_levels)))
    if end > len(data):
        raise ValueError("A packed layer is shorter than its channel tables.")
    multipliers_at = _HEADER_BYTES + 4 * channels
    shifts_at = multipliers_at + 2 * channels * levels
    multipliers = np.frombuffer(data, "<i2", channels * levels, multipliers_at)
    tables: dict[str, Any] = {
        "multipliers": multipliers.reshape(channels, levels).astype(np.int16),
        "biases": np.frombuffer(data, "<i4", channels, _HEADER_BYTES).astype(np.int32),
        "shifts": np.frombuffer(data, "u1", channels, shifts_at).copy(),
    }
    table_at = shifts_at + channels
    for name, count in zip(
        ("activation_table", "output_activation_table"), table_levels, strict=True
    ):
        if count:
            table = data[table_at : table_at + fmt.ACTIVATION_TABLE_BYTES]
            tables[name] = ActivationTable.from_bytes(table, count)
            table_at += fmt.ACTIVATION_TABLE_BYTES
    return tables, end


def _read_planes(
    data: bytes, header: dict[str, Any], geometry: Geometry, offset: int
) -> np.ndarray:
    levels, channels = header["levels"], geometry.output_channels
    planes = np.zeros((levels, channels, geometry.row_size), np.int8)
    for level, start in enumerate(np.frombuffer(header["level_offsets"], "<u4")[:levels]):
        if start != offset:
            raise ValueError("The levels of a packed layer do not follow each other.")
        planes[level], offset = plane_codec.decode_plane(
            data, offset, channels, geometry.row_size, header["encoding"][level]
        )
    if offset != len(data):
        raise ValueError("A packed layer has bytes after its planes.")
    return planes
