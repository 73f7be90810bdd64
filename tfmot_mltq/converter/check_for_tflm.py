"""Refusing what TensorFlow Lite Micro cannot run, by name and with the way out."""

from __future__ import annotations

import re

from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq.errors import ConversionError, RuntimeUnavailableError
from tfmot_mltq.helpers import flatbuffer
from tfmot_mltq.runtime.interpreter import Interpreter
from tfmot_mltq.runtime.tflm_methods import registration

_WAY_OUT = "Replace the layer, or pass runtime='litert' for a file that runs on LiteRT only."
# TensorFlow Lite Micro's messages name an operator by its place.
_NODE = re.compile(r"\(number (\d+)\) failed")
# Operators with an input that may be absent, and which.
_OPTIONAL_INPUTS = {
    "CONV_2D": {2},
    "CONV_3D": {2},
    "CONV_3D_TRANSPOSE": {3},
    "DEPTHWISE_CONV_2D": {2},
    "FULLY_CONNECTED": {2},
    "TRANSPOSE_CONV": {3},
    "UNIDIRECTIONAL_SEQUENCE_LSTM": set(range(1, 24)),
    "SVDF": {4},
}


def check_inputs(model: schema.ModelT) -> None:
    """Refuses an operator that lacks an input, as TensorFlow's converter writes in rare graphs.

    Raises:
      ConversionError: Names the operator.
    """
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            name = flatbuffer.operator_name(model, operator)
            optional = _OPTIONAL_INPUTS.get(name, set())
            for place, index in enumerate(operator.inputs):
                if index < 0 and place not in optional:
                    raise ConversionError(
                        f"TensorFlow's converter left out input {place} of {name} "
                        f"'{_output_name(subgraph, operator)}', which needs it. Replace that "
                        "layer; if the model should work, please report it."
                    )


def check_operators(model: schema.ModelT) -> None:
    """Refuses operators that TensorFlow Lite Micro does not have, or runs to wrong results.

    Raises:
      ConversionError: Names the operator and where it comes from.
    """
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            name = flatbuffer.operator_name(model, operator)
            try:
                registration(name)
            except ConversionError as error:
                raise ConversionError(
                    f"'{_output_name(subgraph, operator)}' needs the operator {name}, which "
                    f"TensorFlow Lite Micro does not have. {_WAY_OUT}"
                ) from error
            if name == "SPACE_TO_BATCH_ND" and not _has_no_padding(model, operator):
                raise ConversionError(
                    f"'{_output_name(subgraph, operator)}' becomes a SPACE_TO_BATCH_ND that pads, "
                    "and what TensorFlow Lite Micro pads with is undefined. Pad before it with a "
                    "ZeroPadding layer, or use the dilation_rate of a convolution. "
                    f"{_WAY_OUT}"
                )


def _has_no_padding(model: schema.ModelT, operator: schema.OperatorT) -> bool:
    paddings = flatbuffer.constant(model, model.subgraphs[0].tensors[operator.inputs[2]])
    return paddings is not None and not paddings.any()


def check_loads(tflite: bytes) -> None:
    """Refuses a file that TensorFlow Lite Micro does not load, where it is installed.

    Raises:
      ConversionError: With its message; names the operator and where it comes from.
    """
    try:
        Interpreter(tflite, "tflm")
    except RuntimeUnavailableError:
        return  # There are wheels for x86-64 Linux alone.
    except RuntimeError as error:
        raise ConversionError(
            f"TensorFlow Lite Micro cannot run {_culprit(tflite, str(error))}: {error} {_WAY_OUT}"
        ) from error


def _culprit(tflite: bytes, message: str) -> str:
    found = _NODE.search(message)
    model = flatbuffer.load(tflite)
    operators = model.subgraphs[0].operators
    if found is None or int(found[1]) >= len(operators):
        return "the model"
    operator = operators[int(found[1])]
    name = flatbuffer.operator_name(model, operator)
    return f"{name} '{_output_name(model.subgraphs[0], operator)}'"


def _output_name(subgraph: schema.SubGraphT, operator: schema.OperatorT) -> str:
    return flatbuffer.tensor_name(subgraph.tensors[operator.outputs[0]])
