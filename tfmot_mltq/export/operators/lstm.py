"""UNIDIRECTIONAL_SEQUENCE_LSTM."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq.export.c_code import Array, Call, Struct
from tfmot_mltq.export.fixed_point import fixed_point
from tfmot_mltq.export.reader import Reader, Step, Tensor

# Positions of the inputs of the operator.
_GATES = ("input", "forget", "cell", "output")
_INPUT_FILTERS, _HIDDEN_FILTERS, _BIASES = 1, 5, 12
_VARIANTS = (9, 10, 11, 16, 17, 20, 21, 22, 23)
_HIDDEN, _CELL = 18, 19
_GATE_SCALE, _RESULT_SCALE = 2.0**-12, 2.0**-15
# The table of tanh takes multiples of 1 / (12 * 2^10): three times what a scale of 2^-12 counts.
_TABLE_BITS = 12


def lstm(reader: Reader) -> Step:
    """UNIDIRECTIONAL_SEQUENCE_LSTM with int8 activations and an int16 cell state."""
    options = reader.options
    source, target, hidden = reader.input(), reader.output(), reader.input(_HIDDEN)
    cell = reader.input(_CELL, dtype="int16")
    reader.require(
        not any(map(reader.has, _VARIANTS)),
        "it has peepholes, a projection or layer normalization",
    )
    reader.require(
        options.fusedActivationFunction == schema.ActivationFunctionType.TANH
        and not options.cellClip,
        "its activation is not tanh, or it clips its cell state",
    )
    batch_axis, time_axis = (1, 0) if options.timeMajor else (0, 1)
    reader.require(
        len(source.shape) == len(target.shape) == 3 and source.shape[batch_axis] == 1,
        f"its input {source.shape} is not a single sequence",
    )
    cell_bits = round(math.log2(cell.scale)) if cell.scale > 0 else 0
    reader.require(
        -15 <= cell_bits <= 0 and cell.scale == 2.0**cell_bits,
        "the scale of its cell state is not a power of two from 2^-15 to 1",
    )
    # Powers of two are exact, and what is shifted to the left is within the table.
    shift = _TABLE_BITS + cell_bits
    give = fixed_point(_RESULT_SCALE**2 / hidden.scale)
    reader.require(give.shift <= 0, "the scale of its hidden state is too small")
    fields: dict[str, Any] = {
        "steps": source.shape[time_axis],
        "inputs": source.shape[2],
        "units": target.shape[2],
        **{f"{gate}_gate": _gate(reader, number) for number, gate in enumerate(_GATES)},
        "input_offset": -source.zero_point,
        "hidden_zero_point": hidden.zero_point,
        "keep_factor": fixed_point(_RESULT_SCALE),
        "take_factor": fixed_point(_RESULT_SCALE**2 / cell.scale),
        "give_factor": give,
        "cell_multiplier": 3 << max(shift, 0),
        "cell_shift": max(-shift, 0),
    }
    arguments = (
        Struct("Lstm", "MltqLstm", fields), reader.source(), reader.state(_HIDDEN),
        reader.state(_CELL), reader.target(),
    )  # fmt: skip
    return reader.step(Call("mltq_stock_lstm_s8", arguments))


def _gate(reader: Reader, number: int) -> Struct:
    """The gate of a number in the operator's order."""
    name = f"{_GATES[number].capitalize()}Gate"
    biases = reader.constant(_BIASES + number)
    if biases is None or biases.dtype != np.int32:
        raise reader.refusal(f"the biases of its {_GATES[number]} gate are not an int32 constant")
    fields: dict[str, Any] = {}
    for what, position, tensor, added in (
        ("input", _INPUT_FILTERS + number, reader.input(), biases),
        ("hidden", _HIDDEN_FILTERS + number, reader.input(_HIDDEN), np.zeros_like(biases)),
    ):
        values = reader.constant(position)
        found = reader.input(position)
        if values is None or found.zero_point != 0:
            raise reader.refusal(f"'{found.name}' is not an int8 constant with zero point 0")
        # TensorFlow Lite multiplies the scales in float32.
        product = np.float32(tensor.scale) * np.float32(found.scale)
        factor = fixed_point(float(product) / _GATE_SCALE)
        largest = np.abs(values.astype(np.int64)).sum(axis=1) * _reach(tensor) + abs(
            added.astype(np.int64)
        )
        reader.require(
            int(largest.max()) < 2 ** (31 - max(factor.shift, 0)),
            f"sums of '{found.name}' may overflow 32 bits",
        )
        fields[f"{what}_filter"] = Array(
            f"{name}{what.capitalize()}Filter", "int8_t", values.reshape(-1).tolist()
        )
        fields[f"{what}_factor"] = factor
    fields["biases"] = Array(f"{name}Biases", "int32_t", biases.reshape(-1).tolist())
    return Struct(name, "MltqLstmGate", fields)


def _reach(tensor: Tensor) -> int:
    """Largest magnitude of a value less its zero point."""
    return max(tensor.zero_point + 128, 127 - tensor.zero_point)
