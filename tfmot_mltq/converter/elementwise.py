"""Elementwise functions of one int8 tensor: found in a model, and computed for every int8 value.

TFLite computes an activation such as softplus, or a batch normalisation that it cannot fold, as
several operators, and for want of ranges between them in float. But with 256 input values the whole
function is a table, whatever it is made of, and where its constants differ from channel to channel
it usually is a gain and an offset. `converter.rewrite_elementwise` writes one operator for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq.converter import edit
from tfmot_mltq.helpers import flatbuffer

# Operators whose output element depends on the element of the input at the same place only.
_ELEMENTWISE = frozenset({
    "ABS", "ADD", "CAST", "CEIL", "COS", "DEQUANTIZE", "DIV", "ELU", "EQUAL", "EXP", "FLOOR",
    "FLOOR_DIV", "FLOOR_MOD", "GELU", "GREATER", "GREATER_EQUAL", "HARD_SWISH", "LEAKY_RELU",
    "LESS", "LESS_EQUAL", "LOG", "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR", "LOGISTIC", "MAXIMUM",
    "MINIMUM", "MUL", "NEG", "NOT_EQUAL", "POW", "PRELU", "QUANTIZE", "RELU", "RELU6",
    "RELU_0_TO_1", "RELU_N1_TO_1", "ROUND", "RSQRT", "SELECT", "SELECT_V2", "SIGN", "SIN", "SQRT",
    "SQUARE", "SQUARED_DIFFERENCE", "SUB", "TANH",
})  # fmt: skip
# Their step is a fixed one, and fine.
_FIXED_SCALE = frozenset({"LOGISTIC", "TANH"})
_RESHAPES = frozenset({"EXPAND_DIMS", "RESHAPE", "SQUEEZE"})
# The value of an element stays, if not its type.
_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE", *_RESHAPES})


@dataclasses.dataclass(frozen=True)
class ElementwiseFunction:
    """An int8 tensor that is an elementwise function of another one.

    Attributes:
      source, target: Numbers of the tensors.
      operators: Those that compute it, in order.
      is_integer: Whether all of them are on integers already.
    """

    source: int
    target: int
    operators: Sequence[schema.OperatorT]
    is_integer: bool


def find_elementwise(model: schema.ModelT) -> list[ElementwiseFunction]:
    """The elementwise functions in the main subgraph of a ``ModelT``.

    Functions without constants that differ between elements are as large as they can be; the others
    begin at the nearest int8 tensor.
    """
    subgraph = model.subgraphs[0]
    tensors = subgraph.tensors
    roots: dict[int, _Root] = {}
    makers: dict[int, schema.OperatorT] = {}
    for operator in subgraph.operators:
        makers.update({int(index): operator for index in operator.outputs})
        root = _root(model, operator, roots)
        if root is not None:
            roots[int(operator.outputs[0])] = root
    # Tensors that something reads which is no part of their function.
    needed = {int(index) for index in subgraph.outputs} | {root.source for root in roots.values()}
    for operator in subgraph.operators:
        root = roots.get(int(operator.outputs[0]))
        for index in map(int, operator.inputs):
            read = roots.get(index)
            if root is None or read is None or read.source != root.source:
                needed.add(index)
    functions = []
    for target, root in roots.items():
        if target not in needed or tensors[target].type != schema.TensorType.INT8:
            continue
        inside = _operators_between(root.source, target, makers)
        operators = [operator for operator in subgraph.operators if id(operator) in inside]
        types = {tensors[index].type for operator in operators for index in operator.outputs}
        functions.append(
            ElementwiseFunction(
                root.source, target, operators, schema.TensorType.FLOAT32 not in types
            )
        )
    return functions


@dataclasses.dataclass(frozen=True)
class _Root:
    """What a tensor is an elementwise function of.

    Attributes:
      source: The int8 tensor.
      nearest: The int8 tensor that was last passed on the way.
      varies: Whether constants differ between elements.
      reshaped: Whether it has another shape than the source.
    """

    source: int
    nearest: int
    varies: bool = False
    reshaped: bool = False


def _root(
    model: schema.ModelT, operator: schema.OperatorT, roots: dict[int, _Root]
) -> _Root | None:
    """What the output of an operator is a function of; None if not of one int8 tensor."""
    tensors = model.subgraphs[0].tensors
    output = int(operator.outputs[0])
    name = flatbuffer.operator_name(model, operator)
    if name in _RESHAPES and tensors[output].type != schema.TensorType.INT8:
        # TensorFlow likes to quantize after it.
        root = roots.get(int(operator.inputs[0]))
        return root and dataclasses.replace(root, reshaped=True)
    if name not in _ELEMENTWISE:
        return None
    found: list[_Root] = []
    varies = False
    for index in (int(index) for index in operator.inputs if index >= 0):
        if _is_constant(model, tensors[index]):
            values = flatbuffer.constant(model, tensors[index])
            assert values is not None
            varies = varies or bool((values != values.flat[0]).any())
            continue
        if list(tensors[index].shape) != list(tensors[output].shape):
            return None
        is_int8 = tensors[index].type == schema.TensorType.INT8
        root = roots.get(index)
        if is_int8 and (root is None or root.varies):
            root = _Root(index, index)
        if root is None:
            return None
        found.append(dataclasses.replace(root, nearest=index) if is_int8 else root)
    reshaped = any(root.reshaped for root in found)
    if reshaped and varies:
        return None
    varies = varies or any(root.varies for root in found)
    if varies and len(tensors[output].shape) < 2:
        return None
    sources = {root.nearest if varies else root.source for root in found}
    if len(sources) != 1:
        return None
    nearest = {root.nearest for root in found}
    (source,) = sources
    return _Root(source, next(iter(nearest)) if len(nearest) == 1 else source, varies, reshaped)


def _is_constant(model: schema.ModelT, tensor: schema.TensorT) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def _operators_between(
    source: int, target: int, makers: dict[int, schema.OperatorT]
) -> dict[int, schema.OperatorT]:
    found: dict[int, schema.OperatorT] = {}
    pending = [target]
    while pending:
        index = pending.pop()
        operator = makers.get(index)
        if index == source or operator is None or id(operator) in found:
            continue
        found[id(operator)] = operator
        pending.extend(int(i) for i in operator.inputs if i >= 0)
    return found


def evaluate(model: schema.ModelT, function: ElementwiseFunction, round_inside: bool) -> np.ndarray:
    """The real values of a function, for the int8 values -128 to 127 of its source.

    Args:
      model: ``ModelT``.
      function: One of those that ``find_elementwise`` found.
      round_inside: Round int8 tensors on the way to their steps. Where the Keras model has ranges
        for them, it does that too.

    Returns:
      float32, shape (256, *s): s is 1 on every axis of the tensor after the batch on which no
      constant of the function has a size.
    """
    subgraph = model.subgraphs[0]
    source = subgraph.tensors[function.source]
    rank = len(source.shape)
    constants = {
        int(index): _real_constant(model, subgraph.tensors[index])
        for operator in function.operators
        if flatbuffer.operator_name(model, operator) not in _CONVERSIONS
        for index in operator.inputs
        if index >= 0 and _is_constant(model, subgraph.tensors[index])
    }
    sizes = [1] * rank
    for value in constants.values():
        for axis, size in enumerate(value.shape[::-1], start=1):
            sizes[-axis] = max(sizes[-axis], size)
    sizes[0] = 256
    steps = np.arange(-128, 128, dtype=np.float64) - float(source.quantization.zeroPoint[0])
    values = (steps * float(source.quantization.scale[0])).astype(np.float32)
    inputs = np.broadcast_to(values.reshape(256, *[1] * (rank - 1)), sizes)
    tflite = _float_model(model, function, constants, sizes, round_inside)
    return _run(tflite, np.ascontiguousarray(inputs))


def _real_constant(model: schema.ModelT, tensor: schema.TensorT) -> np.ndarray:
    values = flatbuffer.constant(model, tensor)
    assert values is not None
    if (values == values.flat[0]).all():
        values = values.reshape(-1)[:1].reshape(())
    quantization = tensor.quantization
    if tensor.type != schema.TensorType.INT8 or quantization is None:
        return values
    scale, zero_point = (np.asarray(part) for part in (quantization.scale, quantization.zeroPoint))
    return ((values.astype(np.float64) - zero_point) * scale).astype(np.float32)


def _float_model(
    model: schema.ModelT,
    function: ElementwiseFunction,
    constants: dict[int, np.ndarray],
    sizes: list[int],
    round_inside: bool,
) -> bytes:
    """The function as a model of its own, on float tensors of the given sizes."""
    tensors = model.subgraphs[0].tensors
    result = edit.empty_model(model)
    (graph,) = result.subgraphs
    numbers: dict[int, int] = {}

    def number(index: int) -> int:
        if index not in numbers:
            tensor = schema.TensorT()
            tensor.name = f"t{index}"
            tensor.type = tensors[index].type
            if tensor.type == schema.TensorType.INT8:
                tensor.type = schema.TensorType.FLOAT32
            tensor.shape, tensor.buffer = sizes, 0
            if index in constants:
                tensor.shape = list(constants[index].shape)
                result.buffers.append(schema.BufferT())
                result.buffers[-1].data = np.frombuffer(constants[index].tobytes(), np.uint8)
                tensor.buffer = len(result.buffers) - 1
            numbers[index] = len(graph.tensors)
            graph.tensors.append(tensor)
        return numbers[index]

    def rounded(index: int) -> None:
        """Puts a QUANTIZE and a DEQUANTIZE after a tensor that stands for an int8 one."""
        tensor = schema.TensorT()
        tensor.name, tensor.type = f"int8_{index}", schema.TensorType.INT8
        tensor.quantization = tensors[index].quantization
        tensor.shape, tensor.buffer = sizes, 0
        graph.tensors.append(tensor)
        integer, real = len(graph.tensors) - 1, numbers.pop(index)
        for name, version, ends in (
            ("QUANTIZE", 1, (real, integer)),
            ("DEQUANTIZE", 2, (integer, number(index))),
        ):
            options = getattr(schema, f"{name.capitalize()}OptionsT")()
            inputs, outputs = ends[:1], ends[1:]
            graph.operators.append(
                edit.builtin_operator(result, name, version, inputs, outputs, options)
            )

    for operator in function.operators:
        name = flatbuffer.operator_name(model, operator)
        output = int(operator.outputs[0])
        is_inside = output != function.target and tensors[output].type == schema.TensorType.INT8
        if name in _CONVERSIONS:
            numbers[output] = number(int(operator.inputs[0]))
            if round_inside and is_inside:
                rounded(output)
            continue
        inputs = [number(int(index)) if index >= 0 else -1 for index in operator.inputs]
        copy = schema.OperatorT()
        copy.opcodeIndex = operator.opcodeIndex
        copy.builtinOptionsType = operator.builtinOptionsType
        copy.builtinOptions = operator.builtinOptions
        copy.inputs = inputs
        copy.outputs = [number(output)]
        graph.operators.append(copy)
        if round_inside and is_inside and name not in _FIXED_SCALE:
            rounded(output)
    graph.inputs, graph.outputs = [number(function.source)], [number(function.target)]
    flatbuffer.drop_unused(result)
    return flatbuffer.save(result)


def _run(tflite: bytes, inputs: np.ndarray) -> np.ndarray:
    from ai_edge_litert import interpreter as litert

    if not flatbuffer.load(tflite).subgraphs[0].operators:
        return inputs  # a change of scale
    interpreter = litert.Interpreter(
        model_content=tflite,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
