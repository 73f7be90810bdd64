"""Writing normalisations of an int8 tensor as one operator, in the objects of a model.

TFLite computes layer, group, RMS and unit normalisation as some ten operators. Between int8 tensors
they stay float, and calibrated to int8 they are off by many steps, since the int8 variance and the
difference of two products cancel badly. A region between two int8 tensors that has a mean or sum
and a root is evaluated in float: which values influence each other, the gain, the offset and the
epsilon follow from what it computes, not from how it is written. Only if MLTQ_NORMALIZATION then
computes the same on random values, it takes the place of the region.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tfmot_mltq.converter import edit
from tfmot_mltq.converter.edit import quantization_of
from tfmot_mltq.helpers import flatbuffer
from tfmot_mltq.packing import normalization
from tfmot_mltq.packing.format import NORMALIZATION_OP_NAME
from tfmot_mltq.packing.normalization import Grouping

_VERSION = 1
_ROOTS = frozenset({"DIV", "L2_NORMALIZATION", "POW", "RSQRT", "SQRT"})
_SUMS = frozenset({"L2_NORMALIZATION", "MEAN", "SUM"})
# The value of an element stays, if not its type.
_CONVERSIONS = frozenset({"DEQUANTIZE", "QUANTIZE"})
_MOVES = frozenset({"EXPAND_DIMS", "RESHAPE", "SQUEEZE", "TRANSPOSE"})
_INSIDE = frozenset({
    "ABS", "ADD", "BROADCAST_TO", "MAXIMUM", "MINIMUM", "MUL", "NEG", "SQUARE",
    "SQUARED_DIFFERENCE", "SUB", *_ROOTS, *_SUMS, *_CONVERSIONS, *_MOVES,
})  # fmt: skip
# Steps of int8 that random values take: groups with a small and with a large variance.
_AMPLITUDES = (1, 2, 8, 40, 128, 128)
# What of a result may be rounding of float32, as a share of the largest value: a mean and its
# square are differences of sums there.
_RELATIVE_ERROR = 3e-4
# A row of the tensor that is shorter costs the operator more than the bytes of a longer table.
_SHORTEST_ROW = 8
_LONGEST_ROW = 4096


@dataclasses.dataclass(frozen=True)
class _Region:
    source: int
    target: int
    operators: Sequence[schema.OperatorT]


@dataclasses.dataclass(frozen=True)
class _Normalization:
    """y = gain * (x - mean) / sqrt(variance + epsilon) + offset; gain and offset repeat."""

    grouping: Grouping
    subtract_mean: bool
    epsilon: float
    gain: np.ndarray
    offset: np.ndarray

    def run(self, x: np.ndarray) -> np.ndarray:
        """In float64; shape (samples, size)."""
        centered, square = _moments(self.grouping, self.subtract_mean, x)
        root = np.sqrt(square + self.epsilon)
        scaled = np.divide(centered, root, out=np.zeros_like(centered), where=root > 0)
        table = scaled.reshape(-1, self.gain.size) * self.gain + self.offset
        return table.reshape(x.shape)


def rewrite_normalization(model: schema.ModelT, round_inside: bool) -> None:
    """Writes each normalisation in the main subgraph of a ``ModelT`` as one operator, in place.

    What is not exactly that stays as it is.

    Args:
      model: ``ModelT``.
      round_inside: Whether the int8 tensors of the model are those that it was quantized with: then
        a normalisation ends at the first of them. Otherwise at the last.
    """
    subgraph = model.subgraphs[0]
    for operator in list(subgraph.operators):
        is_root = flatbuffer.operator_name(model, operator) in _ROOTS
        if not is_root or not any(operator is other for other in subgraph.operators):
            continue
        for region in _regions(model, operator, round_inside):
            found = _identify(model, region)
            if found is not None:
                _write(model, region, found)
                edit.drop_dead_operators(subgraph)


# Regions ------------------------------------------------------------------------------------------


def _regions(model: schema.ModelT, root: schema.OperatorT, nearest: bool) -> Iterator[_Region]:
    """Regions around an operator, from one int8 tensor to another one of its size."""
    subgraph = model.subgraphs[0]
    before = _reachable(model, root, forward=False)
    after = _reachable(model, root, forward=True)
    sources = [index for index in before if _is_int8(subgraph.tensors[index])][::-1]
    targets = [index for index in after if _is_int8(subgraph.tensors[index])]
    for target in _after_moves(model, targets) if nearest else targets[::-1]:
        for source in sources:
            size = _size(subgraph.tensors[target])
            if size != _size(subgraph.tensors[source]) or size > 2**31 - 1:
                continue
            operators = _operators_between(model, source, target)
            names = {flatbuffer.operator_name(model, operator) for operator in operators}
            if names & _SUMS and names & _ROOTS and _is_closed(model, operators, target):
                yield _Region(source, target, operators)


def _after_moves(model: schema.ModelT, targets: Sequence[int]) -> list[int]:
    """Tensors in order, but those first that are others reshaped, transposed, or scaled after an
    operator of TFLite with a scale of its own.
    """
    subgraph = model.subgraphs[0]
    makers = {int(index): op for op in subgraph.operators for index in op.outputs}
    ordered: list[int] = []
    at = 0
    for target in targets:
        operator = makers[target]
        maker = makers.get(int(operator.inputs[0]))
        moves = flatbuffer.operator_name(model, operator) in _MOVES or (
            maker is not None and flatbuffer.operator_name(model, maker) == "L2_NORMALIZATION"
        )
        if not (moves and int(operator.inputs[0]) in ordered[at:]):
            at = len(ordered)
        ordered.insert(at, target)
    return ordered


def _is_closed(model: schema.ModelT, operators: Sequence[schema.OperatorT], target: int) -> bool:
    """Whether nothing else reads what is a result of the region too; only means and roots may be
    shared with other normalisations.
    """
    subgraph = model.subgraphs[0]
    outputs = {int(index) for operator in operators for index in operator.outputs} - {target}
    size = _size(subgraph.tensors[target])
    inside = {
        index
        for index in outputs
        if _is_int8(subgraph.tensors[index]) and _size(subgraph.tensors[index]) == size
    }
    read = {int(index) for index in subgraph.outputs}
    for operator in subgraph.operators:
        if not any(operator is other for other in operators):
            read.update(map(int, operator.inputs))
    return not inside & read


def _reachable(model: schema.ModelT, root: schema.OperatorT, forward: bool) -> list[int]:
    """Tensors that are computed from, or to, an operator's, by operators that a region may have; in
    the order of the graph.
    """
    subgraph = model.subgraphs[0]
    reached = set(map(int, root.outputs if forward else root.inputs))
    operators = subgraph.operators if forward else subgraph.operators[::-1]
    for operator in operators:
        if flatbuffer.operator_name(model, operator) in _INSIDE:
            inputs, outputs = set(map(int, operator.inputs)), set(map(int, operator.outputs))
            if reached & (inputs if forward else outputs):
                reached |= outputs if forward else inputs
    order = [int(index) for index in subgraph.inputs]
    order += [int(index) for operator in subgraph.operators for index in operator.outputs]
    return [index for index in order if index in reached]


def _operators_between(model: schema.ModelT, source: int, target: int) -> list[schema.OperatorT]:
    """Those that compute one tensor from the other and from constants; none if that is not all."""
    subgraph = model.subgraphs[0]
    makers = {int(index): op for op in subgraph.operators for index in op.outputs}
    inside: dict[int, schema.OperatorT] = {}
    pending = [target]
    while pending:
        index = pending.pop()
        if index == source or index < 0 or _value(model, index) is not None:
            continue
        operator = makers.get(index)
        if operator is None or flatbuffer.operator_name(model, operator) not in _INSIDE:
            return []
        if id(operator) not in inside:
            inside[id(operator)] = operator
            pending.extend(map(int, operator.inputs))
    return [operator for operator in subgraph.operators if id(operator) in inside]


def _is_int8(tensor: schema.TensorT) -> bool:
    scales = getattr(tensor.quantization, "scale", None)
    return tensor.type == schema.TensorType.INT8 and scales is not None and len(scales) == 1


def _size(tensor: schema.TensorT) -> int:
    return int(np.prod(tensor.shape)) if tensor.shape is not None else 1


def _value(model: schema.ModelT, index: int) -> np.ndarray | None:
    return flatbuffer.constant(model, model.subgraphs[0].tensors[index])


# What a region computes ---------------------------------------------------------------------------


def _identify(model: schema.ModelT, region: _Region) -> _Normalization | None:
    """The normalisation that a region is, if it is one."""
    size = _size(model.subgraphs[0].tensors[region.source])
    scale, zero_point = quantization_of(model.subgraphs[0].tensors[region.source])
    run = _evaluator(model, region)
    rng = np.random.default_rng(0)
    grouping = _find_grouping(run, rng.normal(size=size).astype(np.float32))
    if grouping is None or grouping.group_size > normalization.MAX_GROUP:
        return None
    steps = np.stack([rng.integers(-a, a, size, endpoint=True) for a in _AMPLITUDES])
    steps[0] += zero_point  # small values, whose squares are no more than epsilon
    steps[1:4] += rng.integers(-80, 80, (3, 1))  # means that are large beside the deviation
    x = ((np.clip(steps, -128, 127) - zero_point) * scale).astype(np.float32)
    y = np.stack([run(sample) for sample in x]).astype(np.float64)
    offset = run(np.zeros(size, np.float32)).astype(np.float64)
    if not (np.isfinite(y).all() and np.isfinite(offset).all()):
        return None
    for subtract_mean in (True, False):
        found = _fit(grouping, subtract_mean, x.astype(np.float64), y, offset)
        error = np.abs(found.run(x.astype(np.float64)) - y).max()
        if error <= _RELATIVE_ERROR * max(np.abs(y - offset).max(), np.abs(offset).max(), 1e-30):
            return found
    return None


def _find_grouping(run: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> Grouping | None:
    """The groups, from the outputs that the first value influences."""
    changed = x.copy()
    changed[0] += 3.0
    group = np.flatnonzero(run(x) != run(changed))
    if group.size == 0:  # groups of one value, less their mean
        return Grouping(x.size, 1, 1, 1)
    ends = np.flatnonzero(np.diff(group) > 1)
    channels = int(ends[0]) + 1 if ends.size else group.size
    members = group.size // channels
    stride = int(group[channels]) if members > 1 else channels
    regular = np.arange(members)[:, None] * stride + np.arange(channels)
    if (
        stride % channels
        or x.size % (members * stride)
        or not np.array_equal(group, regular.ravel())
    ):
        return None
    return Grouping(x.size // (members * stride), members, stride // channels, channels)


def _fit(
    grouping: Grouping, subtract_mean: bool, x: np.ndarray, y: np.ndarray, offset: np.ndarray
) -> _Normalization:
    """The epsilon and the gains that explain the outputs y of x best."""
    centered, square = _moments(grouping, subtract_mean, x)
    y = y - offset
    # With r = centered / y: r^2 = (square + epsilon) / gain^2, so that two samples have epsilon.
    usable = (np.abs(centered) > 0.3 * np.sqrt(square)) & (np.abs(y) > 1e-6 * np.abs(y).max())
    ratio = np.divide(centered, y, out=np.ones_like(y), where=usable) ** 2
    quotient, small, large = ratio[0] / ratio[-1], square[0], square[-1]
    both = usable[0] & usable[-1] & (quotient < 0.99)
    found = (quotient * large - small)[both] / (1 - quotient)[both]
    epsilon = max(float(np.median(found)), 0.0) if found.size else 0.0
    root = np.sqrt(square + epsilon)
    scaled = np.divide(centered, root, out=np.zeros_like(centered), where=root > 0)
    grouping, gain = _fit_gain(grouping, scaled, y, offset)
    return _Normalization(grouping, subtract_mean, epsilon, gain, offset[: gain.size])


def _fit_gain(
    grouping: Grouping, scaled: np.ndarray, y: np.ndarray, offset: np.ndarray
) -> tuple[Grouping, np.ndarray]:
    """The shortest table of gains that explains y = gain * scaled, and the grouping that has it."""
    for fine, period in _periods(grouping):
        parts = [a.reshape(-1, period) for a in (scaled, y)]
        power = (parts[0] ** 2).sum(0)
        gain = np.divide((parts[0] * parts[1]).sum(0), power, out=np.zeros(period), where=power > 0)
        residue = np.abs(parts[1] - gain * parts[0]).max()
        same_offset = (offset.reshape(-1, period) == offset[:period]).all()
        is_best = period == grouping.size or residue <= _RELATIVE_ERROR * np.abs(y).max()
        if is_best and same_offset:
            return fine, gain
    raise AssertionError("the last period is that of all values")


def _periods(grouping: Grouping) -> Iterator[tuple[Grouping, int]]:
    """After how many values gains and offsets may repeat, and the grouping to say that in."""
    if grouping.groups == 1:  # of values that follow each other, in rows of any length
        size = grouping.group_size
        for row in range(min(_SHORTEST_ROW, size), min(size, _LONGEST_ROW)):
            if size % row == 0:
                yield Grouping(grouping.outer, size // row, 1, row), row
    yield grouping, grouping.channels
    yield grouping, grouping.groups * grouping.channels
    yield grouping, grouping.size


def _moments(
    grouping: Grouping, subtract_mean: bool, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values less the mean of their group, if so, and their mean square; each of the shape of x."""
    grouped = x.reshape(-1, *grouping.shape)
    axes = (2, 4)
    centered = grouped - grouped.mean(axes, keepdims=True) if subtract_mean else grouped
    square = (centered**2).mean(axes, keepdims=True)
    return centered.reshape(x.shape), np.broadcast_to(square, grouped.shape).reshape(x.shape)


def _evaluator(model: schema.ModelT, region: _Region) -> Callable[[np.ndarray], np.ndarray]:
    """The region as a function of float32 values."""
    tflite = _float_model(model, region)
    # XNNPACK would compute some functions less exactly.
    interpreter = Interpreter(
        model_content=tflite,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(values: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(given["index"], values.reshape(given["shape"]))
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(result["index"])).ravel()

    return run


def _float_model(model: schema.ModelT, region: _Region) -> bytes:
    """The region as a model of its own, whose int8 tensors are float."""
    tensors = model.subgraphs[0].tensors
    result = edit.empty_model(model)
    (graph,) = result.subgraphs
    numbers: dict[int, int] = {-1: -1}

    def number(index: int) -> int:
        if index not in numbers:
            tensor = copy.copy(tensors[index])
            value = _value(model, index)
            tensor.buffer, tensor.quantization = 0, None
            if tensor.type == schema.TensorType.INT8:
                tensor.type = schema.TensorType.FLOAT32
                value = None if value is None else _real(tensors[index], value)
            if value is not None:
                result.buffers.append(schema.BufferT())
                result.buffers[-1].data = np.frombuffer(value.tobytes(), np.uint8)
                tensor.buffer = len(result.buffers) - 1
            numbers[index] = len(graph.tensors)
            graph.tensors.append(tensor)
        return numbers[index]

    for operator in region.operators:
        ends = [[int(index) for index in end] for end in (operator.inputs, operator.outputs)]
        if flatbuffer.operator_name(model, operator) in _CONVERSIONS:
            numbers[ends[1][0]] = number(ends[0][0])
            continue
        moved = copy.copy(operator)
        moved.inputs, moved.outputs = ([number(index) for index in end] for end in ends)
        graph.operators.append(moved)
    graph.inputs, graph.outputs = [number(region.source)], [number(region.target)]
    return flatbuffer.save(result)


def _real(tensor: schema.TensorT, value: np.ndarray) -> np.ndarray:
    """Real values of an int8 constant."""
    quantization = tensor.quantization
    axis = int(quantization.quantizedDimension)
    shape = [-1 if i == axis else 1 for i in range(value.ndim)]
    scale, zero_point = (
        np.asarray(part, np.float64).reshape(shape if len(part) > 1 else ())
        for part in (quantization.scale, quantization.zeroPoint)
    )
    return ((value - zero_point) * scale).astype(np.float32)


# Writing ------------------------------------------------------------------------------------------


def _write(model: schema.ModelT, region: _Region, found: _Normalization) -> None:
    subgraph = model.subgraphs[0]
    source, target = (subgraph.tensors[index] for index in (region.source, region.target))
    packed = normalization.from_real(
        found.grouping,
        found.subtract_mean,
        found.epsilon,
        found.gain,
        found.offset,
        quantization_of(source),
        quantization_of(target),
    )
    data = np.frombuffer(normalization.encode(packed), np.uint8)
    constant = edit.add_constant(model, data, f"{flatbuffer.tensor_name(target)}/packed")
    inputs = [region.source, constant]
    operator = edit.custom_operator(model, NORMALIZATION_OP_NAME, _VERSION, inputs, [region.target])
    edit.replace(subgraph, region.operators[-1:], [operator])
