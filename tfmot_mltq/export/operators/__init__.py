"""One reader for each operator that generated code has."""

from __future__ import annotations

from collections.abc import Callable

from tfmot_mltq.export.operators import (
    elementwise,
    gather,
    layers,
    lstm,
    matmul,
    move,
    normalization,
    pool,
    quantize,
    reduce,
    resize,
    softmax,
    table,
)
from tfmot_mltq.export.reader import Reader, Step
from tfmot_mltq.packing.format import CUSTOM_OP_NAMES, LOOKUP_OP_NAME, NORMALIZATION_OP_NAME

# Those that TensorFlow Lite Micro has for int8; see ``table``.
_FUNCTIONS = (
    "ABS", "ELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "RELU", "RELU6", "RSQRT", "TANH",
)  # fmt: skip

READERS: dict[str, Callable[[Reader], Step]] = {
    **dict.fromkeys(CUSTOM_OP_NAMES.values(), layers.layer_with_levels),
    LOOKUP_OP_NAME: table.lookup,
    NORMALIZATION_OP_NAME: normalization.normalization,
    **dict.fromkeys(_FUNCTIONS, table.function),
    "ADD": elementwise.add,
    "AVERAGE_POOL_2D": pool.pool("average_pool_2d"),
    "BATCH_MATMUL": matmul.batch_matmul,
    "BATCH_TO_SPACE_ND": move.batch_to_space,
    "BROADCAST_TO": move.broadcast_to,
    "CONCATENATION": move.concatenate,
    "CONV_2D": layers.convolution("conv_2d"),
    "DEPTHWISE_CONV_2D": layers.convolution("depthwise_conv_2d"),
    "DEPTH_TO_SPACE": move.depth_to_space,
    "DEQUANTIZE": quantize.dequantize,
    "EXPAND_DIMS": move.reshape,
    "FULLY_CONNECTED": layers.fully_connected,
    "GATHER": gather.gather,
    "LOG_SOFTMAX": softmax.log_softmax,
    "MAXIMUM": elementwise.maximum,
    "MAX_POOL_2D": pool.pool("max_pool_2d"),
    "MEAN": reduce.mean,
    "MINIMUM": elementwise.minimum,
    "MIRROR_PAD": move.mirror_pad,
    "MUL": elementwise.multiply,
    "PACK": move.pack,
    "PAD": move.pad,
    "PADV2": move.pad,
    "PRELU": elementwise.prelu,
    "QUANTIZE": quantize.quantize,
    "REDUCE_MAX": reduce.extreme("reduce_max"),
    "REDUCE_MIN": reduce.extreme("reduce_min"),
    "RESHAPE": move.reshape,
    "RESIZE_BILINEAR": resize.bilinear,
    "RESIZE_NEAREST_NEIGHBOR": resize.nearest,
    "REVERSE_V2": move.reverse,
    "SLICE": move.slice_,
    "SOFTMAX": softmax.softmax,
    "SPACE_TO_BATCH_ND": move.space_to_batch,
    "SPACE_TO_DEPTH": move.space_to_depth,
    "SPLIT": move.split,
    "SPLIT_V": move.split_v,
    "SQUARED_DIFFERENCE": elementwise.squared_difference,
    "SQUEEZE": move.reshape,
    "STRIDED_SLICE": move.strided_slice,
    "SUB": elementwise.subtract,
    "SUM": reduce.total,
    "TRANSPOSE": move.transpose,
    "TRANSPOSE_CONV": layers.transpose_convolution,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lstm.lstm,
    "UNPACK": move.unpack,
}
