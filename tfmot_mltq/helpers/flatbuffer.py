"""Reading and writing .tflite flatbuffers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_FILE_IDENTIFIER = b"TFL3"
# TensorFlow Lite Micro reads constants in place and wants them aligned like this.
_BUFFER_ALIGNMENT = 16


class _AligningBuilder(flatbuffers.Builder):
    """The schema asks for aligned buffers; the generated Python code forgets it."""

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802 (flatbuffers' name)
        if x.dtype == np.uint8:
            self.Prep(_BUFFER_ALIGNMENT, x.size)
        return super().CreateNumpyVector(x)


# Of tensors that hold plain numbers.
DTYPES: dict[int, np.dtype] = {
    schema.TensorType.FLOAT32: np.dtype(np.float32),
    schema.TensorType.INT8: np.dtype(np.int8),
    schema.TensorType.UINT8: np.dtype(np.uint8),
    schema.TensorType.INT16: np.dtype(np.int16),
    schema.TensorType.INT32: np.dtype(np.int32),
    schema.TensorType.INT64: np.dtype(np.int64),
    schema.TensorType.BOOL: np.dtype(np.bool_),
}


def load(tflite: bytes) -> schema.ModelT:
    """Parses a model to schema objects (``ModelT``).

    Raises:
      ValueError: The bytes are not a TFLite model.
    """
    if len(tflite) < 8 or tflite[4:8] != _FILE_IDENTIFIER:
        raise ValueError("This is not a .tflite file: the identifier 'TFL3' is missing.")
    return schema.ModelT.InitFromPackedBuf(bytearray(tflite), 0)


def save(model: schema.ModelT) -> bytes:
    """Serialises schema objects, with constants aligned."""
    builder = _AligningBuilder(1 << 16)
    builder.Finish(model.Pack(builder), _FILE_IDENTIFIER)
    return bytes(builder.Output())


def operator_name(model: schema.ModelT, operator: schema.OperatorT) -> str:
    """Name of an operator: its custom name, or the schema's name of the builtin."""
    code = model.operatorCodes[operator.opcodeIndex]
    if code.customCode:
        name = code.customCode
        return name.decode() if isinstance(name, bytes) else name
    return _BUILTIN_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]


_BUILTIN_NAMES = {
    value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)
}


def tensor_name(tensor: schema.TensorT) -> str:
    """Name of a tensor as text."""
    name = tensor.name or b""
    return name.decode(errors="replace") if isinstance(name, bytes) else name


def planes_name(layer_name: str) -> str:
    """Name of the packed tensor of a layer."""
    return f"{layer_name}/planes"


def layer_name(packed_tensor: schema.TensorT) -> str:
    """Name of the layer of a packed tensor; ``shorten_names`` numbers those of shared layers."""
    return tensor_name(packed_tensor).rpartition("/planes")[0]


def constant(model: schema.ModelT, tensor: schema.TensorT) -> np.ndarray | None:
    """Value of a constant tensor; None for other tensors.

    Raises:
      ValueError: The constant has a type that is not a plain number.
    """
    data = model.buffers[tensor.buffer].data
    if data is None or len(data) == 0:
        return None
    if tensor.type not in DTYPES:
        raise ValueError(f"Tensor '{tensor_name(tensor)}' has the unsupported type {tensor.type}.")
    values = np.frombuffer(np.asarray(data, np.uint8).tobytes(), DTYPES[tensor.type])
    return values.reshape([] if tensor.shape is None else tensor.shape)


def input_key(index: int) -> str:
    """Name of an input in the signature; a user's own name may have characters that TensorFlow
    replaces.
    """
    return f"input_{index}"


def name_interface(model: schema.ModelT, input_names: Sequence[str]) -> None:
    """Gives inputs and outputs the order, and inputs the names, of the Keras model; in place.

    TensorFlow's converter keeps neither. What it keeps is the signature, in which the inputs are
    called ``input_key(index)`` and the outputs ``output_0``, ``output_1``, ...
    """
    signature = model.signatureDefs[0]
    subgraph = model.subgraphs[signature.subgraphIndex]

    def by_name(entries: Iterable[schema.TensorMapT]) -> dict[str, schema.TensorMapT]:
        return {
            entry.name.decode() if isinstance(entry.name, bytes) else entry.name: entry
            for entry in entries
        }

    inputs, outputs = by_name(signature.inputs), by_name(signature.outputs)
    for index, name in enumerate(input_names):
        entry = inputs[input_key(index)]
        subgraph.inputs[index] = entry.tensorIndex
        subgraph.tensors[entry.tensorIndex].name = entry.name = name
    subgraph.outputs = [outputs[f"output_{index}"].tensorIndex for index in range(len(outputs))]


def shorten_names(model: schema.ModelT) -> None:
    """Cuts the names of tensors, which take flash, to layer and operation; in place.

    TensorFlow puts the model's name in front, and joins the names of all layers that it fused.
    """
    for subgraph in model.subgraphs:
        interface = {*subgraph.inputs, *subgraph.outputs}
        taken: set[str] = set()
        for index, tensor in enumerate(subgraph.tensors):
            if index in interface:
                continue
            name = short = "/".join(tensor_name(tensor).partition(";")[0].split("/")[-2:])
            while name in taken:
                name = f"{short}_{len(taken)}"
            taken.add(name)
            tensor.name = name


def drop_unused(model: schema.ModelT) -> None:
    """Removes tensors, buffers and operator codes that nothing refers to, in place.

    A tensor costs RAM on the device even when no operator uses it.
    """
    for index, subgraph in enumerate(model.subgraphs):
        signatures = [s for s in model.signatureDefs or [] if s.subgraphIndex == index]
        _drop_unused_tensors(subgraph, signatures)
    codes = [op.opcodeIndex for subgraph in model.subgraphs for op in subgraph.operators]
    new_code = _renumbering(codes)
    model.operatorCodes = [model.operatorCodes[old] for old in new_code]
    # Buffer 0 is the empty one by convention.
    buffers = [0, *(t.buffer for subgraph in model.subgraphs for t in subgraph.tensors)]
    buffers += [entry.buffer for entry in model.metadata or []]
    new_buffer = _renumbering(buffers)
    model.buffers = [model.buffers[old] for old in new_buffer]
    for subgraph in model.subgraphs:
        for op in subgraph.operators:
            op.opcodeIndex = new_code[op.opcodeIndex]
        for tensor in subgraph.tensors:
            tensor.buffer = new_buffer[tensor.buffer]
    for entry in model.metadata or []:
        entry.buffer = new_buffer[entry.buffer]


def _renumbering(used: Iterable[int]) -> dict[int, int]:
    return {old: new for new, old in enumerate(sorted(set(used)))}


def _drop_unused_tensors(
    subgraph: schema.SubGraphT, signatures: Sequence[schema.SignatureDefT]
) -> None:
    used = [*subgraph.inputs, *subgraph.outputs]
    for op in subgraph.operators:
        for indices in (op.inputs, op.outputs, op.intermediates):
            used.extend(() if indices is None else indices)
    new_index = _renumbering(index for index in used if index >= 0)
    new_index[-1] = -1  # an optional input that is absent

    def renumber(indices: Iterable[int] | None) -> list[int] | None:
        return None if indices is None else [new_index[index] for index in indices]

    subgraph.tensors = [subgraph.tensors[old] for old in new_index if old >= 0]
    subgraph.inputs = renumber(subgraph.inputs)
    subgraph.outputs = renumber(subgraph.outputs)
    for op in subgraph.operators:
        op.inputs = renumber(op.inputs)
        op.outputs = renumber(op.outputs)
        op.intermediates = renumber(op.intermediates)
    for signature in signatures:
        for entry in [*(signature.inputs or []), *(signature.outputs or [])]:
            entry.tensorIndex = new_index[entry.tensorIndex]
