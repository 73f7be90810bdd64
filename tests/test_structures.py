"""What converts computes what Keras computes: small networks around every layer of Keras, on both
runtimes and as exported C code.
"""

import importlib
import warnings

import numpy as np
import pytest
from exported_library import ExportedLibrary
from structures import STRUCTURES, build

import tfmot_mltq as mltq
from tfmot_mltq.helpers import flatbuffer

# Steps of an output, of which there are 255.
LARGEST_ERROR = 3.01
LARGER_ERRORS = {
    # A step in front of the last layers is several of the output.
    "batch_norm_after_transpose": 4.01, "multiply_2": 4.01,
}  # fmt: skip
# What is refused, and in which words.
REFUSED = {
    "argument_sparsemax": "TOPK_V2, which TensorFlow Lite Micro does not have",
    "buckets": "BUCKETIZE, which TensorFlow Lite Micro does not have",
    "convolutional_lstm": "TFLite has no operator for a recurrent convolution",
    "layer_sparsemax": "TOPK_V2, which TensorFlow Lite Micro does not have",
    "locally_connected": "no operator for tf.",
    "masking": "TFLite has no masks",
    "resizing_area": "no operator for tf.ResizeArea",
    "volume_convolution": "CONV_3D, which TensorFlow Lite Micro does not have",
    "volume_pooling": "no operator for tf.MaxPool3D",
}
# Those that are not slow: one structure of each kind. make test-slow has the others.
ONE_OF_EACH_KIND = {
    "keras": frozenset({
        "add_3", "additive_attention", "attention_heads", "average_3", "average_pooling",
        "batch_norm_after_relu", "batch_norm_axis_1", "batch_norm_first", "batch_norm_of_dense",
        "camera", "channel_attention", "concatenate_of_poolings", "constant_maximum",
        "conv1d_strided", "conv_dilated", "conv_grouped", "conv_next_block", "conv_transpose",
        "dense_block", "dense_on_images", "depthwise1d", "dilated_siblings", "einsum_dense",
        "elementwise_operations", "embedding", "group_norm", "heat_map", "layer_celu",
        "layer_gelu", "layer_hard_sigmoid",
        "layer_norm", "layer_selu", "layer_softmax", "layer_softplus", "layer_sparsemax",
        "layer_tanh", "lstm", "maximum_2", "multiply_3", "normalization_axes",
        "nothing_in_inference", "operations", "prelu", "reductions", "relu_everything",
        "relu_max_4", "rescaling_offset", "resizing_area", "resizing_nearest", "separable1d",
        "siamese", "spectral_norm", "squeeze_and_excitation_hard", "temporal_convolutions",
        "two_inputs", "u_net", "unit_norm", "upsampling_nearest", "volume_convolution",
        "wavenet", "zero_padding",
    }),
    "tf_keras": frozenset({
        "average_3", "batch_norm_after_relu", "camera", "concatenate_of_poolings",
        "conv_next_block", "group_norm", "heat_map", "layer_hard_sigmoid", "layer_norm",
        "masking", "normalization_axes", "separable1d", "spectral_norm", "thresholded_relu",
        "two_inputs", "upsampling1d", "volume_pooling",
    }),
}  # fmt: skip


CASES = [
    pytest.param(
        framework,
        name,
        id=f"{framework}-{name}",
        marks=[] if name in ONE_OF_EACH_KIND[framework] else [pytest.mark.slow],
    )
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


def names_of_operators(tflite):
    """The operators of a model, and those of them with a float result."""
    model = flatbuffer.load(tflite)
    found = [
        (flatbuffer.operator_name(model, operator), subgraph.tensors[index].type)
        for subgraph in model.subgraphs
        for operator in subgraph.operators
        for index in operator.outputs
    ]
    return {name for name, _ in found}, {name for name, kind in found if kind == 0}


@pytest.mark.parametrize(("framework", "name"), CASES)
@pytest.mark.filterwarnings("ignore")
def test_structure(framework, name, tmp_path):
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
    operators, is_float = names_of_operators(tflite)
    assert not is_float
    expected = as_list(q.predict(x, verbose=0))
    spread = [np.std(want, axis=0).max() for want in expected]
    outputs = {}
    for runtime in ("tflm", "litert"):
        # LiteRT's reference kernel of an int8 SUM is wrong, its default one right.
        options = {"reference_kernels": "SUM" not in operators} if runtime == "litert" else {}
        interpreter = mltq.Interpreter(tflite, runtime, **options)
        outputs[runtime] = as_list(interpreter.predict(x))
        for details, want, have, std in zip(
            interpreter.output_details, expected, outputs[runtime], spread, strict=True
        ):
            allowed = LARGER_ERRORS.get(name, LARGEST_ERROR)
            assert np.abs(have - want).max() <= allowed * details.scale
            assert std > 4 * details.scale  # The comparison could fail.
    library = ExportedLibrary(tflite, tmp_path / "project", sanitized=False)
    for have, want in zip(library.predict(x), outputs["tflm"], strict=True):
        np.testing.assert_array_equal(have, want)


def test_there_are_enough_structures():
    assert sum("keras" in structure.frameworks for structure in STRUCTURES.values()) >= 60
    assert sum("tf_keras" in structure.frameworks for structure in STRUCTURES.values()) >= 60
    assert sum(map(len, ONE_OF_EACH_KIND.values())) >= 60
    for framework, names in ONE_OF_EACH_KIND.items():
        assert all(framework in STRUCTURES[name].frameworks for name in names)
