"""How operators are registered with TensorFlow Lite Micro's MicroMutableOpResolver."""

from __future__ import annotations

from tfmot_mltq.errors import ConversionError
from tfmot_mltq.packing.format import (
    CUSTOM_OP_NAMES,
    LOOKUP_OP_NAME,
    NORMALIZATION_OP_NAME,
    OperatorKind,
)

# Built-in operators that TensorFlow Lite Micro has, by their names in the schema.
_OPERATORS = (
    "ABS", "ADD", "ADD_N", "ARG_MAX", "ARG_MIN", "ASSIGN_VARIABLE", "AVERAGE_POOL_2D",
    "BATCH_MATMUL", "BATCH_TO_SPACE_ND", "BROADCAST_ARGS", "BROADCAST_TO", "CALL_ONCE", "CAST",
    "CEIL", "CONCATENATION", "CONV_2D", "COS", "CUMSUM", "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE",
    "DEQUANTIZE", "DIV", "DYNAMIC_UPDATE_SLICE", "ELU", "EMBEDDING_LOOKUP", "EQUAL", "EXP",
    "EXPAND_DIMS", "FILL", "FLOOR", "FLOOR_DIV", "FLOOR_MOD", "FULLY_CONNECTED", "GATHER",
    "GATHER_ND", "GREATER", "GREATER_EQUAL", "HARD_SWISH", "IF", "L2_NORMALIZATION", "L2_POOL_2D",
    "LEAKY_RELU", "LESS", "LESS_EQUAL", "LOG", "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR",
    "LOGISTIC", "LOG_SOFTMAX", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MIRROR_PAD", "MUL",
    "NEG", "NOT_EQUAL", "PACK", "PAD", "PADV2", "PRELU", "QUANTIZE", "READ_VARIABLE", "REDUCE_ALL",
    "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6", "RESHAPE", "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "ROUND", "RSQRT", "SELECT_V2", "SHAPE", "SIN", "SLICE",
    "SOFTMAX", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQRT", "SQUARE",
    "SQUARED_DIFFERENCE", "SQUEEZE", "STRIDED_SLICE", "SUB", "SUM", "SVDF", "TANH", "TRANSPOSE",
    "TRANSPOSE_CONV", "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNPACK", "VAR_HANDLE", "WHILE", "ZEROS_LIKE",
)  # fmt: skip
# Where the method's name is not the operator's in camel case.
_IRREGULAR = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}
_CUSTOM = {
    CUSTOM_OP_NAMES[OperatorKind.CONV_2D]: "mltq_tflm_conv_2d",
    CUSTOM_OP_NAMES[OperatorKind.DEPTHWISE_CONV_2D]: "mltq_tflm_depthwise_conv_2d",
    CUSTOM_OP_NAMES[OperatorKind.FULLY_CONNECTED]: "mltq_tflm_fully_connected",
    LOOKUP_OP_NAME: "mltq_tflm_lookup",
    NORMALIZATION_OP_NAME: "mltq_tflm_normalization",
}


def registration(op: str) -> str:
    """The call on a resolver that registers an operator.

    Args:
      op: Name in the schema, or of one of our custom operators.

    Raises:
      ConversionError: TensorFlow Lite Micro has no such operator.
    """
    if op in _CUSTOM:
        return f'AddCustom("{op}", {_CUSTOM[op]}())'
    if op not in _OPERATORS:
        raise ConversionError(
            f"TensorFlow Lite Micro has no operator {op}; the model cannot run there."
        )
    camel = "".join(part.capitalize() for part in op.split("_")).replace("2d", "2D")
    return f"Add{_IRREGULAR.get(op, camel)}()"
