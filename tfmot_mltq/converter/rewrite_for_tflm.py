"""Writing what TensorFlow Lite Micro lacks, or computes otherwise, as operators that it has.

In place, in the objects of a model, and with the same values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq.converter import edit
from tfmot_mltq.helpers import flatbuffer

# Inputs of TensorFlow Lite Micro's CONCATENATION.
_MOST_CONCATENATED = 10


def quantize_byte_inputs(model: schema.ModelT) -> None:
    """Makes int8 inputs, of scale 1, of uint8 ones that the model casts to float.

    TensorFlow Lite Micro's CAST takes no uint8. The values 0 to 255 are -128 to 127 then, which is
    what its users hand in for a quantized image anyway.
    """
    subgraph = model.subgraphs[0]
    for index in map(int, subgraph.inputs):
        tensor = subgraph.tensors[index]
        readers = [o for o in subgraph.operators if index in set(map(int, o.inputs))]
        if tensor.type != schema.TensorType.UINT8 or not all(
            _casts_to_float(model, reader) for reader in readers
        ):
            continue
        tensor.type = schema.TensorType.INT8
        tensor.quantization = edit.quantization(1.0, -128)
        for reader in readers:
            options = schema.DequantizeOptionsT()
            new = edit.builtin_operator(model, "DEQUANTIZE", 2, [index], reader.outputs, options)
            edit.replace(subgraph, [reader], [new])


def _casts_to_float(model: schema.ModelT, operator: schema.OperatorT) -> bool:
    output = model.subgraphs[0].tensors[operator.outputs[0]]
    name = flatbuffer.operator_name(model, operator)
    return name == "CAST" and output.type == schema.TensorType.FLOAT32


def rewrite_for_tflm(model: schema.ModelT) -> None:
    """Rewrites the operators of the main subgraph that TensorFlow Lite Micro cannot run as such."""
    subgraph = model.subgraphs[0]
    for operator in list(subgraph.operators):
        rewrite = _REWRITES.get(flatbuffer.operator_name(model, operator))
        if rewrite is not None and any(operator is held for held in subgraph.operators):
            rewrite(model, operator)
    edit.drop_dead_operators(subgraph)


def _tile(model: schema.ModelT, operator: schema.OperatorT) -> None:
    """TILE, as Keras lowers the repetition of pixels: RESIZE_NEAREST_NEIGHBOR, or copies joined.

    What is repeated a number of times that is computed stays TILE, which is refused.
    """
    multiples = _multiples(model, operator)
    if multiples is None:
        return
    chain = _chain_of_copies(model, operator)
    source, target = int(chain[0].inputs[0]), int(chain[-1].outputs[0])
    shape = list(map(int, model.subgraphs[0].tensors[source].shape))
    image = _as_image(shape)
    moved = _moved_indices(model, chain, shape)
    factors = None if image is None else _upsampling(image, moved)
    if image is None or factors is None:
        _join_copies(model, operator, multiples)
        return
    edit.replace(model.subgraphs[0], chain, _upsample(model, source, target, image, factors))


def _upsample(
    model: schema.ModelT, source: int, target: int, image: Sequence[int], factors: Sequence[int]
) -> list[schema.OperatorT]:
    """RESIZE_NEAREST_NEIGHBOR by whole factors, with the RESHAPEs that it needs.

    Args:
      model: ``ModelT``.
      source: Number of the tensor to repeat the pixels of.
      target: Number of the tensor to make.
      image: Shape of the source as an image.
      factors: How often each row and each column is repeated.
    """
    tensors = model.subgraphs[0].tensors
    larger = [1, image[1] * factors[0], image[2] * factors[1], image[3]]
    operators = []
    name = flatbuffer.tensor_name(tensors[target])
    if list(image) != list(map(int, tensors[source].shape)):
        start = edit.add_tensor_like(model, source, image, f"{name}/as_image")
        operators.append(edit.reshape(model, source, start))
        source = start
    end = target
    if larger != list(map(int, tensors[target].shape)):
        end = edit.add_tensor_like(model, target, larger, f"{name}/image")
    size = edit.add_constant(model, np.asarray(larger[1:3], np.int32), f"{name}/size")
    options = schema.ResizeNearestNeighborOptionsT()
    options.alignCorners = options.halfPixelCenters = False
    operators.append(
        edit.builtin_operator(model, "RESIZE_NEAREST_NEIGHBOR", 2, [source, size], [end], options)
    )
    if end != target:
        operators.append(edit.reshape(model, end, target))
    return operators


def _multiples(model: schema.ModelT, operator: schema.OperatorT) -> np.ndarray | None:
    """How often a TILE repeats along each axis; None for what is no TILE, or computes that."""
    if flatbuffer.operator_name(model, operator) != "TILE":
        return None
    return flatbuffer.constant(model, model.subgraphs[0].tensors[operator.inputs[1]])


def _chain_of_copies(model: schema.ModelT, operator: schema.OperatorT) -> list[schema.OperatorT]:
    """The RESHAPE and TILE operators around one, each of which alone reads the one before it."""
    subgraph = model.subgraphs[0]
    outputs = set(map(int, subgraph.outputs))

    def readers(index: int) -> list[schema.OperatorT]:
        return [o for o in subgraph.operators if index in set(map(int, o.inputs))]

    def is_copy(candidate: schema.OperatorT) -> bool:
        is_reshape = flatbuffer.operator_name(model, candidate) == "RESHAPE"
        return is_reshape or _multiples(model, candidate) is not None

    chain = [operator]
    while (index := int(chain[-1].outputs[0])) not in outputs:
        following = readers(index)
        if len(following) != 1 or not is_copy(following[0]):
            break
        chain.append(following[0])
    while len(readers(index := int(chain[0].inputs[0]))) == 1:
        makers = [o for o in subgraph.operators if index in set(map(int, o.outputs))]
        if not makers or not is_copy(makers[0]):
            break
        chain.insert(0, makers[0])
    return chain


def _as_image(shape: Sequence[int]) -> list[int] | None:
    if len(shape) == 4:
        return list(shape)
    return [1, shape[1], 1, shape[2]] if len(shape) == 3 else None


def _moved_indices(
    model: schema.ModelT, chain: Sequence[schema.OperatorT], shape: Sequence[int]
) -> np.ndarray:
    """Which element of the input of a chain each element of its output is."""
    tensors = model.subgraphs[0].tensors
    indices = np.arange(math.prod(shape)).reshape(shape)
    for operator in chain:
        multiples = _multiples(model, operator)
        if multiples is None:
            indices = indices.reshape(list(tensors[operator.outputs[0]].shape))
        else:
            indices = np.tile(indices, multiples)
    return indices.ravel()


def _upsampling(image: Sequence[int], moved: np.ndarray) -> tuple[int, int] | None:
    """How often rows and columns are repeated to give elements in an order; None if not so."""
    indices = np.arange(math.prod(image)).reshape(image)
    factor = moved.size // indices.size
    for rows in range(1, factor + 1):
        columns = factor // rows
        if rows * columns == factor:
            repeated = indices.repeat(rows, 1).repeat(columns, 2)
            if np.array_equal(repeated.ravel(), moved):
                return rows, columns
    return None


def _join_copies(model: schema.ModelT, operator: schema.OperatorT, multiples: np.ndarray) -> None:
    """TILE as CONCATENATION of copies, axis by axis."""
    subgraph = model.subgraphs[0]
    source, target = int(operator.inputs[0]), int(operator.outputs[0])
    axes = [axis for axis, multiple in enumerate(multiples) if multiple > 1]
    shape = list(map(int, subgraph.tensors[source].shape))
    operators = []
    for axis in axes:
        shape[axis] *= int(multiples[axis])
        joined = target
        if axis != axes[-1]:
            name = f"{flatbuffer.tensor_name(subgraph.tensors[target])}/axis_{axis}"
            joined = edit.add_tensor_like(model, target, shape, name)
        operators.append(_concatenate(model, [source] * int(multiples[axis]), joined, axis))
        source = joined
    if not axes:
        operators = [edit.reshape(model, source, target)]
    edit.replace(subgraph, [operator], operators)


def _resize_nearest(model: schema.ModelT, operator: schema.OperatorT) -> None:
    """RESIZE_NEAREST_NEIGHBOR by centres of pixels, which TensorFlow Lite Micro takes for corners:
    the same by corners where that moves the same pixels, else a GATHER of rows and one of columns.
    """
    subgraph = model.subgraphs[0]
    options = operator.builtinOptions
    source, target = int(operator.inputs[0]), int(operator.outputs[0])
    shapes = [list(map(int, subgraph.tensors[i].shape)) for i in (source, target)]
    wanted, by_corners = (
        [
            _nearest(size, new_size, options.alignCorners, centres)
            for size, new_size in zip(shapes[0][1:3], shapes[1][1:3], strict=True)
        ]
        for centres in (options.halfPixelCenters, False)
    )
    if all(map(np.array_equal, wanted, by_corners)):
        options.halfPixelCenters = False
        return
    rows_shape = [shapes[0][0], shapes[1][1], *shapes[0][2:]]
    name = flatbuffer.tensor_name(subgraph.tensors[target])
    rows = edit.add_tensor_like(model, target, rows_shape, f"{name}/rows")
    operators = []
    for axis, (read, made) in enumerate(((source, rows), (rows, target)), start=1):
        gather = schema.GatherOptionsT()
        gather.axis, gather.batchDims = axis, 0
        indices = edit.add_constant(model, wanted[axis - 1], f"{name}/indices_{axis}")
        operators.append(edit.builtin_operator(model, "GATHER", 2, [read, indices], [made], gather))
    edit.replace(subgraph, [operator], operators)


def _nearest(size: int, new_size: int, align_corners: bool, centres: bool) -> np.ndarray:
    """The pixels of a row that a row of another size is made of, as TFLite's kernel rounds."""
    scale = np.float32(size) / np.float32(new_size)
    if align_corners and new_size > 1:
        scale = np.float32(size - 1) / np.float32(new_size - 1)
    at = (np.arange(new_size, dtype=np.float32) + np.float32(0.5 if centres else 0)) * scale
    picked = np.floor(at + np.float32(0.5)) if align_corners else np.floor(at)
    return np.clip(picked, 0, size - 1).astype(np.int32)


def _concatenation(model: schema.ModelT, operator: schema.OperatorT) -> None:
    """A CONCATENATION of more tensors than TensorFlow Lite Micro takes: of concatenations.

    tf_keras lowers UpSampling1D so, to SPLIT and CONCATENATION; that is written as the
    RESIZE_NEAREST_NEIGHBOR that it is.
    """
    subgraph = model.subgraphs[0]
    inputs = list(map(int, operator.inputs))
    if len(inputs) <= _MOST_CONCATENATED or _write_repetition(model, operator):
        return
    axis = operator.builtinOptions.axis
    target = int(operator.outputs[0])
    rank = len(subgraph.tensors[target].shape)
    operators: list[schema.OperatorT] = []
    while len(inputs) > _MOST_CONCATENATED:
        groups = [
            inputs[i : i + _MOST_CONCATENATED] for i in range(0, len(inputs), _MOST_CONCATENATED)
        ]
        inputs = []
        for group in groups:
            shape = list(map(int, subgraph.tensors[target].shape))
            shape[axis % rank] = sum(int(subgraph.tensors[i].shape[axis]) for i in group)
            name = f"{flatbuffer.tensor_name(subgraph.tensors[target])}/part_{len(operators)}"
            part = edit.add_tensor_like(model, target, shape, name)
            operators.append(_concatenate(model, group, part, axis))
            inputs.append(part)
    operators.append(_concatenate(model, inputs, target, axis))
    operators[-1].builtinOptions = operator.builtinOptions
    edit.replace(subgraph, [operator], operators)


def _write_repetition(model: schema.ModelT, operator: schema.OperatorT) -> bool:
    """Writes a CONCATENATION of the parts of one SPLIT as an upsampling; says whether it is one."""
    subgraph = model.subgraphs[0]
    makers = {int(i): o for o in subgraph.operators for i in o.outputs}
    splits = {id(makers.get(int(i))): makers.get(int(i)) for i in operator.inputs}
    split = next(iter(splits.values()))
    if len(splits) != 1 or split is None or flatbuffer.operator_name(model, split) != "SPLIT":
        return False
    source, target = int(split.inputs[1]), int(operator.outputs[0])
    shape = list(map(int, subgraph.tensors[source].shape))
    split_axis = flatbuffer.constant(model, subgraph.tensors[split.inputs[0]])
    if split_axis is None:
        return False
    axis = int(split_axis)
    parts = dict(
        zip(
            map(int, split.outputs),
            np.split(np.arange(math.prod(shape)).reshape(shape), len(split.outputs), axis),
            strict=True,
        )
    )
    moved = np.concatenate(
        [parts[int(i)] for i in operator.inputs], operator.builtinOptions.axis
    ).ravel()
    image = _as_image(shape)
    factors = None if image is None else _upsampling(image, moved)
    if image is None or factors is None:
        return False
    edit.replace(subgraph, [operator], _upsample(model, source, target, image, factors))
    return True


def _concatenate(
    model: schema.ModelT, inputs: Sequence[int], output: int, axis: int
) -> schema.OperatorT:
    options = schema.ConcatenationOptionsT()
    options.axis = axis
    return edit.builtin_operator(model, "CONCATENATION", 2, inputs, [output], options)


def _gather(model: schema.ModelT, operator: schema.OperatorT) -> None:
    """Numbers of an embedding, without the SELECT_V2 for negative ones, which TensorFlow Lite Micro
    does not have for integers. An embedding takes no negative numbers.
    """
    subgraph = model.subgraphs[0]
    makers = {int(i): o for o in subgraph.operators for i in o.outputs}

    def maker(index: int, name: str) -> schema.OperatorT | None:
        made = makers.get(int(index))
        is_it = made is not None and flatbuffer.operator_name(model, made) == name
        return made if is_it else None

    select = maker(operator.inputs[1], "SELECT_V2")
    if select is None:
        return
    less, added = maker(select.inputs[0], "LESS"), maker(select.inputs[1], "ADD")
    numbers = int(select.inputs[2])
    if less is None or added is None or numbers != less.inputs[0] or numbers != added.inputs[0]:
        return
    limit = flatbuffer.constant(model, subgraph.tensors[less.inputs[1]])
    if limit is not None and (limit == 0).all():
        operator.inputs = [operator.inputs[0], numbers]


def _select(model: schema.ModelT, operator: schema.OperatorT) -> None:
    """SELECT is SELECT_V2 without broadcasting."""
    tensors = model.subgraphs[0].tensors
    shapes = [list(tensors[i].shape) for i in (*operator.inputs, *operator.outputs)]
    if all(shape == shapes[0] for shape in shapes):
        options = schema.SelectV2OptionsT()
        new = edit.builtin_operator(
            model, "SELECT_V2", 1, operator.inputs, operator.outputs, options
        )
        edit.replace(model.subgraphs[0], [operator], [new])


_REWRITES: dict[str, Callable[[schema.ModelT, schema.OperatorT], None]] = {
    "CONCATENATION": _concatenation,
    "GATHER": _gather,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
    "SELECT": _select,
    "TILE": _tile,
}
