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
# What TensorFlow's operators round inside of these layers, Keras does not simulate.
LARGER_ERRORS = {
    "lstm": 8, "lstm_sequences": 8, "bidirectional": 16, "simple_rnn": 12, "gru": 6,
    "attention_heads": 8, "grouped_attention": 8, "dot_product_attention": 12,
    "additive_attention": 10,
}  # fmt: skip
# What is refused, and in which words.
REFUSED = {
    "argument_sparsemax": "TOPK_V2, which TensorFlow Lite Micro does not have",
    "buckets": "no operator for tf.Bucketize",
    "convolutional_lstm": "TFLite has no operator for a recurrent convolution",
    "layer_sparsemax": "TOPK_V2, which TensorFlow Lite Micro does not have",
    "locally_connected": "no operator for tf.",
    "masking": "TFLite has no masks",
    "resizing_area": "no operator for tf.ResizeArea",
    "volume_convolution": "CONV_3D, which TensorFlow Lite Micro does not have",
    "volume_pooling": "no operator for tf.MaxPool3D",
}
# Both frameworks share the converter, so of tf_keras the quick run has what its layers lower to in
# another way, and one of each kind.
TF_KERAS_QUICK = frozenset({
    "add_3", "average_3", "average_pooling", "batch_norm_after_relu", "batch_norm_axis_1", "camera",
    "channel_attention", "concatenate_of_poolings", "conv_next_block", "conv_transpose",
    "dense_block", "depthwise1d", "embedding", "group_norm", "heat_map", "lambda_layer",
    "layer_gelu", "layer_hard_sigmoid", "layer_norm", "layer_softmax", "layer_tanh",
    "locally_connected", "masking", "maximum_2", "normalization_axes", "relu_max_4",
    "rescaling_offset", "resizing_nearest", "separable1d", "siamese", "spectral_norm",
    "squeeze_and_excitation_hard", "thresholded_relu", "time_distributed", "two_inputs", "u_net",
    "upsampling1d", "upsampling_bilinear", "upsampling_nearest", "volume_pooling",
})  # fmt: skip


def marks(framework, name):
    is_slow = name.startswith("argument_") or name in ("gru", "simple_rnn", "bidirectional")
    is_slow = is_slow or (framework == "tf_keras" and name not in TF_KERAS_QUICK)
    return [pytest.mark.slow] if is_slow else []


CASES = [
    pytest.param(framework, name, id=f"{framework}-{name}", marks=marks(framework, name))
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
@pytest.mark.filterwarnings("ignore")
def test_structure(framework, name):
    model, x = build(importlib.import_module(framework), name)
    if name in REFUSED:
        refusals = (mltq.ConversionError, mltq.UnsupportedModelError)
        with pytest.raises(refusals, match=REFUSED[name]):
            mltq.convert(mltq.quantize_model(model, levels=3), representative(x))
        return
    q = mltq.quantize_model(model, levels=3)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*stay float")
        tflite = mltq.convert(q, representative(x))
    assert not float_operators(tflite)
    expected = as_list(q.predict(x, verbose=0))
    spread = [np.std(want, axis=0).max() for want in expected]
    for runtime in ("tflm", "litert"):
        interpreter = mltq.Interpreter(tflite, runtime)
        outputs = as_list(interpreter.predict(x))
        for details, want, have, std in zip(
            interpreter.output_details, expected, outputs, spread, strict=True
        ):
            allowed = LARGER_ERRORS.get(name, LARGEST_ERROR)
            assert np.abs(have - want).max() <= allowed * details.scale
            assert std > 4 * details.scale  # The comparison could fail.


def test_there_are_enough_structures():
    assert sum("keras" in structure.frameworks for structure in STRUCTURES.values()) >= 60
    assert sum("tf_keras" in structure.frameworks for structure in STRUCTURES.values()) >= 60
