"""Elementwise functions of one tensor, as tables of 256 values."""

from __future__ import annotations

import copy

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq.export.c_code import Array, Call
from tfmot_mltq.export.reader import Reader, Step
from tfmot_mltq.helpers import flatbuffer
from tfmot_mltq.runtime.interpreter import Interpreter

_VALUES = 256


def lookup(reader: Reader) -> Step:
    """MLTQ_LOOKUP."""
    table = reader.constant(1)
    if table is None or table.dtype != np.int8 or table.size != _VALUES:
        raise reader.refusal("its table is not a constant of 256 int8 values")
    reader.require(
        reader.input().size == reader.output().size,
        "the output does not have as many values as the input",
    )
    return _step(reader, 0, table)


def function(reader: Reader, position: int = 0) -> Step:
    """An operator of one tensor, such as LOGISTIC, and of constants of one value, if any."""
    return _step(reader, position, _table(reader, position))


def scalar_operand(reader: Reader) -> int | None:
    """Which of the two inputs the other one, a constant of one value, is combined with; None where
    there is none.
    """
    for position, other in ((0, 1), (1, 0)):
        value = reader.constant(other)
        if value is not None and value.size == 1 and reader.constant(position) is None:
            return position
    return None


def _step(reader: Reader, position: int, table: np.ndarray) -> Step:
    reader.input(position)
    reader.require(reader.constant(position) is None, "the input is a constant")
    values = Array("Table", "int8_t", table.reshape(-1).tolist())
    arguments = (values, reader.output().size, reader.source(position), reader.target())
    return reader.step(Call("mltq_lookup_s8", arguments))


def _table(reader: Reader, position: int) -> np.ndarray:
    """The operator on every int8 value, as TensorFlow Lite Micro computes it: a model of this
    operator alone, on a tensor of all values.
    """
    reader.require(
        reader.input(position).size == reader.output().size,
        "the output does not have as many values as the input",
    )
    model = schema.ModelT()
    model.version = reader.model.version
    model.operatorCodes = [copy.deepcopy(reader.model.operatorCodes[reader.operator.opcodeIndex])]
    model.buffers = [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors = []
    operator = copy.deepcopy(reader.operator)
    operator.opcodeIndex = 0
    operator.inputs = [
        _add_tensor(reader, model, graph, index) for index in reader.operator.inputs if index >= 0
    ]
    operator.outputs = [_add_tensor(reader, model, graph, reader.operator.outputs[0])]
    graph.operators = [operator]
    graph.inputs, graph.outputs = [operator.inputs[position]], operator.outputs
    model.subgraphs = [graph]
    values = np.arange(-128, 128, dtype=np.int8).reshape(1, _VALUES)
    try:
        return Interpreter(flatbuffer.save(model)).invoke(values)[0]
    except RuntimeError as error:
        raise reader.refusal(f"TensorFlow Lite Micro refuses it: {error}") from error


def _add_tensor(reader: Reader, model: schema.ModelT, graph: schema.SubGraphT, index: int) -> int:
    """A copy of a tensor: of one value if it is a constant, otherwise of 256."""
    tensor = copy.deepcopy(reader.graph.tensors[index])
    if flatbuffer.constant(reader.model, tensor) is None:
        tensor.shape, tensor.buffer = [1, _VALUES], 0
    else:
        model.buffers.append(copy.deepcopy(reader.model.buffers[tensor.buffer]))
        tensor.shape, tensor.buffer = [1], len(model.buffers) - 1
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1
