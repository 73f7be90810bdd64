"""What converts computes what Keras computes: small networks around every layer of Keras."""

import importlib
import warnings

import numpy as np
import pytest
from structures import STRUCTURES, build

import tfmot_mltq as mltq
from tfmot_mltq import flatbuffer

# Steps of an output, of which there are 255.
LARGEST_ERROR = 3.01
# What is refused, and in which words.
REFUSED = {
    "argument_sparsemax": "TOPK_V2, which TensorFlow Lite Micro does not have",
    "layer_sparsemax": "TOPK_V2, which TensorFlow Lite Micro does not have",
    "resizing_area": "ResizeArea",
}
CASES = [
    pytest.param(framework, name, id=f"{framework}-{name}")
    for name, structure in STRUCTURES.items()
    for framework in structure.frameworks
]


def representative(x):
    """Samples in a form that ``convert`` takes."""
    if not isinstance(x, list):
        return x
    return lambda: ([value[None] for value in sample] for sample in zip(*x, strict=True))


def as_list(outputs):
    return outputs if isinstance(outputs, list) else [outputs]


def float_operators(tflite):
    model = flatbuffer.load(tflite)
    return {
        flatbuffer.operator_name(model, operator)
        for subgraph in model.subgraphs
        for operator in subgraph.operators
        for index in operator.outputs
        if subgraph.tensors[index].type == 0
    }


@pytest.mark.parametrize(("framework", "name"), CASES)
@pytest.mark.filterwarnings("ignore:Layer .* stays int8", "ignore:No layer is left")
def test_structure(framework, name):
    model, x = build(importlib.import_module(framework), name)
    q = mltq.quantize_model(model, levels=3)
    if name in REFUSED:
        with pytest.raises(mltq.ConversionError, match=REFUSED[name]):
            mltq.convert(q, representative(x))
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*stay float")
        tflite = mltq.convert(q, representative(x))
    assert not float_operators(tflite)
    expected = as_list(q.predict(x, verbose=0))
    spread = [np.std(want, axis=0).max() for want in expected]
    for runtime in ("tflm", "litert"):
        options = {"reference_kernels": True} if runtime == "litert" else {}
        interpreter = mltq.Interpreter(tflite, runtime, **options)
        outputs = as_list(interpreter.predict(x))
        for details, want, have, std in zip(
            interpreter.output_details, expected, outputs, spread, strict=True
        ):
            assert np.abs(have - want).max() <= LARGEST_ERROR * details.scale
            assert std > 4 * details.scale  # The comparison could fail.


def test_there_are_enough_structures():
    assert sum("keras" in structure.frameworks for structure in STRUCTURES.values()) >= 60
    assert sum("tf_keras" in structure.frameworks for structure in STRUCTURES.values()) >= 60
