"""Operators that move values and leave them as they are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq.export.axes import merged_axes, strides_of
from tfmot_mltq.export.c_code import Call, Struct
from tfmot_mltq.export.reader import Reader, Step
from tfmot_mltq.helpers import flatbuffer

_COPY_RANK = 5


def reshape(reader: Reader) -> Step:
    """RESHAPE, SQUEEZE, EXPAND_DIMS: nothing moves."""
    return reader.alias()


def pad(reader: Reader) -> Step:
    """PAD with the zero point, PADV2 with a constant."""
    source, target = reader.input(), reader.output()
    pads = np.reshape(reader.constant_list(1, "its paddings"), (-1, 2))
    reader.require(
        len(pads) == len(source.shape)
        and tuple(np.add(source.shape, pads.sum(axis=1))) == target.shape
        and bool(np.all(pads >= 0)),
        f"its paddings {pads.tolist()} do not fit",
    )
    value = target.zero_point
    if reader.has(2):
        (value,) = reader.constant_list(2, "its values")
    strides = strides_of(target.shape)
    begin = int(np.dot(pads[:, 0], strides))
    fill = Call("mltq_stock_fill_s8", (value, target.size, reader.target()))
    copy = _copy(reader, source.shape, (strides_of(source.shape), strides), (0, begin))
    return reader.step(fill, copy)


def concatenate(reader: Reader) -> Step:
    """CONCATENATION."""
    target = reader.output()
    axis = reader.options.axis % len(target.shape)
    reader.require(
        reader.options.fusedActivationFunction == schema.ActivationFunctionType.NONE,
        "it has a fused activation",
    )
    calls = []
    begin = 0
    strides = strides_of(target.shape)
    for position in range(len(reader.operator.inputs)):
        source = reader.input(position)
        reader.require(
            (source.scale, source.zero_point) == (target.scale, target.zero_point),
            "its inputs and its output have different scales",
        )
        pair = strides_of(source.shape), strides
        calls.append(_copy(reader, source.shape, pair, (0, begin), position))
        begin += source.shape[axis] * strides[axis]
    return reader.step(*calls)


def pack(reader: Reader) -> Step:
    """PACK: inputs side by side along a new axis."""
    target = reader.output()
    axis = reader.options.axis % len(target.shape)
    strides = strides_of(target.shape)
    others = [stride for i, stride in enumerate(strides) if i != axis]
    calls = []
    for position in range(len(reader.operator.inputs)):
        shape = reader.input(position).shape
        begin = position * strides[axis]
        calls.append(_copy(reader, shape, (strides_of(shape), others), (0, begin), position))
    return reader.step(*calls)


def unpack(reader: Reader) -> Step:
    """UNPACK: the slices along an axis."""
    source = reader.input()
    axis = reader.options.axis % len(source.shape)
    strides = strides_of(source.shape)
    others = [stride for i, stride in enumerate(strides) if i != axis]
    calls = []
    for position in range(len(reader.operator.outputs)):
        shape = reader.output(position).shape
        begin = position * strides[axis]
        pair = others, strides_of(shape)
        calls.append(_copy(reader, shape, pair, (begin, 0), output=position))
    return reader.step(*calls)


def split(reader: Reader) -> Step:
    """SPLIT: input 0 is the axis."""
    return _split(reader, 1, reader.constant_list(0, "its axis")[0])


def split_v(reader: Reader) -> Step:
    """SPLIT_V: input 2 is the axis, and the sizes are those of the outputs."""
    return _split(reader, 0, reader.constant_list(2, "its axis")[0])


def _split(reader: Reader, position: int, axis: int) -> Step:
    source = reader.input(position)
    axis %= len(source.shape)
    strides = strides_of(source.shape)
    begin = 0
    calls = []
    for output in range(len(reader.operator.outputs)):
        shape = reader.output(output).shape
        pair = strides, strides_of(shape)
        calls.append(_copy(reader, shape, pair, (begin, 0), position, output))
        begin += shape[axis] * strides[axis]
    return reader.step(*calls)


def slice_(reader: Reader) -> Step:
    """SLICE."""
    source, target = reader.input(), reader.output()
    begins = reader.constant_list(1, "its begins")
    strides = strides_of(source.shape)
    begin = sum(b * stride for b, stride in zip(begins, strides, strict=True))
    pair = strides, strides_of(target.shape)
    return reader.step(_copy(reader, target.shape, pair, (begin, 0)))


def strided_slice(reader: Reader) -> Step:
    """STRIDED_SLICE, as TensorFlow Lite Micro reads its masks."""
    source, options = reader.input(), reader.options
    names = ("its begins", "its ends", "its strides")
    begins, ends, steps = [reader.constant_list(1 + i, name) for i, name in enumerate(names)]
    reader.require(
        not (options.ellipsisMask or options.newAxisMask or getattr(options, "offset", False))
        and len(begins) == len(source.shape),
        "it has an ellipsis, a new axis, or not all axes",
    )
    strides = strides_of(source.shape)
    sizes, jumps, begin = [], [], 0
    for axis, size in enumerate(source.shape):
        first = None if options.beginMask >> axis & 1 else begins[axis]
        last = None if options.endMask >> axis & 1 else ends[axis]
        first, last, step = slice(first, last, steps[axis]).indices(size)
        count = len(range(first, last, step))
        if options.shrinkAxisMask >> axis & 1:
            count = 1
        begin += first * strides[axis]
        sizes.append(count)
        jumps.append(step * strides[axis])
    reader.require(
        int(np.prod(sizes)) == reader.output().size,
        "its output does not have the size of the slice",
    )
    return reader.step(_copy(reader, sizes, (jumps, strides_of(sizes)), (begin, 0)))


def transpose(reader: Reader) -> Step:
    """TRANSPOSE."""
    source, target = reader.input(), reader.output()
    order = reader.constant_list(1, "its permutation")
    strides = strides_of(source.shape)
    pair = [strides[axis] for axis in order], strides_of(target.shape)
    return reader.step(_copy(reader, target.shape, pair, (0, 0)))


def reverse(reader: Reader) -> Step:
    """REVERSE_V2."""
    source = reader.input()
    strides = strides_of(source.shape)
    jumps, begin = list(strides), 0
    for axis in reader.constant_list(1, "its axes"):
        jumps[axis] = -strides[axis]
        begin += (source.shape[axis] - 1) * strides[axis]
    return reader.step(_copy(reader, source.shape, (jumps, strides), (begin, 0)))


def mirror_pad(reader: Reader) -> Step:
    """MIRROR_PAD: what lies before, inside and after along each axis is a copy each."""
    source, target = reader.input(), reader.output()
    pads = np.reshape(reader.constant_list(1, "its paddings"), (-1, 2)).tolist()
    edge = int(reader.options.mode == schema.MirrorPadMode.REFLECT)  # is not repeated
    reader.require(
        len(pads) == len(source.shape)
        and all(0 <= pad <= size - edge for size, pair in zip(source.shape, pads, strict=True)
                for pad in pair)
        and tuple(np.add(source.shape, np.sum(pads, axis=1))) == target.shape,
        f"its paddings {pads} do not fit",
    )  # fmt: skip
    # Size, first place in the input and in the output, and direction.
    parts = [
        [
            (before, before + edge - 1, 0, -1),
            (size, 0, before, 1),
            (after, size - 1 - edge, before + size, -1),
        ]
        for size, (before, after) in zip(source.shape, pads, strict=True)
    ]
    strides = strides_of(source.shape), strides_of(target.shape)
    calls = []
    for chosen in itertools.product(*parts):
        sizes = [part[0] for part in chosen]
        if min(sizes) > 0:
            begins = [
                sum(part[1 + end] * step for part, step in zip(chosen, strides[end], strict=True))
                for end in range(2)
            ]
            jumps = [part[3] * step for part, step in zip(chosen, strides[0], strict=True)]
            calls.append(_copy(reader, sizes, (jumps, strides[1]), (begins[0], begins[1])))
    return reader.step(*calls)


def broadcast_to(reader: Reader) -> Step:
    """BROADCAST_TO."""
    source, target = reader.input(), reader.output()
    shape = (1,) * (len(target.shape) - len(source.shape)) + source.shape
    jumps = [step if size > 1 else 0 for step, size in zip(strides_of(shape), shape, strict=True)]
    return reader.step(_copy(reader, target.shape, (jumps, strides_of(target.shape)), (0, 0)))


def depth_to_space(reader: Reader) -> Step:
    """DEPTH_TO_SPACE: the channels of a pixel become a block of pixels."""
    return _depth_and_space(reader, reader.input().shape, reader.output().shape, to_space=True)


def space_to_depth(reader: Reader) -> Step:
    """SPACE_TO_DEPTH."""
    return _depth_and_space(reader, reader.output().shape, reader.input().shape, to_space=False)


def _depth_and_space(
    reader: Reader, deep: tuple[int, ...], wide: tuple[int, ...], *, to_space: bool
) -> Step:
    block = reader.options.blockSize
    images, height, width, _ = deep
    # Both tensors along the axes of the wide one, rows and columns split into blocks.
    sizes = (images, height, block, width, block, wide[3])
    wide_strides = strides_of(sizes)
    order = (0, 1, 3, 2, 4, 5)
    of_deep = strides_of([sizes[axis] for axis in order])
    deep_strides = [of_deep[order.index(axis)] for axis in range(len(sizes))]
    pair = (deep_strides, wide_strides) if to_space else (wide_strides, deep_strides)
    return reader.step(_copy(reader, sizes, pair, (0, 0)))


def space_to_batch(reader: Reader) -> Step:
    """SPACE_TO_BATCH_ND: TensorFlow writes it before a convolution with dilation."""
    source, target = reader.input(), reader.output()
    reader.require(
        source.size == target.size and not any(reader.constant_list(2, "its paddings")),
        "it has paddings, for which TensorFlow Lite Micro takes undefined values",
    )
    blocks = _blocks(reader, source.shape, target.shape, "its paddings")
    return reader.step(*(_copy(reader, sizes, pair, begins) for sizes, pair, begins in blocks))


def batch_to_space(reader: Reader) -> Step:
    """BATCH_TO_SPACE_ND."""
    blocks = _blocks(reader, reader.output().shape, reader.input().shape, "its crops")
    return reader.step(
        *(_copy(reader, sizes, pair[::-1], begins[::-1]) for sizes, pair, begins in blocks)
    )


def _blocks(
    reader: Reader, space: tuple[int, ...], batch: tuple[int, ...], what: str
) -> list[tuple[list[int], tuple[list[int], list[int]], tuple[int, int]]]:
    """Between the tensor of wide images and that of more images: for each image of a block, the
    sizes that are copied, strides and begins in both.
    """
    block = reader.constant_list(1, "its block")
    before = reader.constant_list(2, what)[::2]
    rank = len(block)
    reader.require(len(space) == len(batch) == rank + 2, f"its shapes {space}, {batch} do not fit")
    wide, narrow = strides_of(space), strides_of(batch)
    found = []
    for number, offsets in enumerate(np.ndindex(*block)):
        sizes, jumps, begins = [space[0]], [wide[0]], [0, number * space[0] * narrow[0]]
        for axis, (step, pad, offset) in enumerate(zip(block, before, offsets, strict=True), 1):
            # The first and the last place of the narrow image that lies in the wide one.
            first = max(-((offset - pad) // step), 0)
            last = min((space[axis] - 1 + pad - offset) // step, batch[axis] - 1)
            sizes.append(last + 1 - first)
            jumps.append(step * wide[axis])
            begins[0] += (first * step + offset - pad) * wide[axis]
            begins[1] += first * narrow[axis]
        if min(sizes) > 0:
            sizes, jumps = [*sizes, space[-1]], [*jumps, 1]
            found.append((sizes, (jumps, narrow), (begins[0], begins[1])))
    return found


def _copy(
    reader: Reader,
    sizes: Sequence[int],
    strides: tuple[Sequence[int], Sequence[int]],
    begins: tuple[int, int],
    position: int = 0,
    output: int = 0,
) -> Call:
    """A copy of a part; strides and begins are those in the input and in the output."""
    merged = merged_axes(sizes, strides, _COPY_RANK)
    if merged is None:
        name = flatbuffer.tensor_name(reader.graph.tensors[reader.operator.outputs[output]])
        raise reader.refusal(f"'{name}' is copied along more than {_COPY_RANK} axes")
    reader.input(position)
    for stride, begin, tensor in zip(
        strides, begins, (reader.input(position), reader.output(output)), strict=True
    ):
        ends = [(size - 1) * step for size, step in zip(sizes, stride, strict=True)]
        lowest = begin + sum(end for end in ends if end < 0)
        highest = begin + sum(end for end in ends if end > 0)
        reader.require(lowest >= 0 and highest < tensor.size, f"it reaches outside '{tensor.name}'")
    fields = {
        "size": merged[0],
        "input_stride": merged[1][0],
        "output_stride": merged[1][1],
        "input_begin": begins[0],
        "output_begin": begins[1],
    }
    copy = Struct("Copy", "MltqCopy", fields)
    return Call("mltq_stock_copy_s8", (copy, reader.source(position), reader.target(output)))
