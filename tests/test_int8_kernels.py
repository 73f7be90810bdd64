"""Kernels without levels are simulated as the file has them, layer by layer of both frameworks."""

import importlib

import numpy as np
import pytest

import tfmot_mltq as mltq
from tfmot_mltq.helpers import flatbuffer
from tfmot_mltq.layout.layer_kinds import INT8_CHANNEL_AXES

LAYERS = {
    "Conv1D": lambda k: k.layers.Conv1D(6, 3, groups=2),
    "Conv1DTranspose": lambda k: k.layers.Conv1DTranspose(3, 2, strides=2),
    "Conv2D": lambda k: k.layers.Conv2D(3, 2, use_bias=False),
    "Conv2DTranspose": lambda k: k.layers.Conv2DTranspose(5, 3, strides=2, padding="same"),
    "Dense": lambda k: k.layers.Dense(3),
    "DepthwiseConv1D": lambda k: k.layers.DepthwiseConv1D(3, depth_multiplier=2),
    "DepthwiseConv2D": lambda k: k.layers.DepthwiseConv2D(3, depth_multiplier=2),
    "EinsumDense": lambda k: k.layers.EinsumDense("abcd,de->abce", (6, 6, 5), bias_axes="e"),
}


def network(keras, kind):
    """A network of one layer, whose kernel entries are of many sizes along each axis."""
    layer = LAYERS[kind](keras)
    inputs = keras.Input((8, 4) if "1D" in kind else (6, 6, 4))
    model = keras.Model(inputs, layer(inputs))
    rng = np.random.default_rng(5)
    weights = layer.get_weights()
    for axis, size in enumerate(weights[0].shape):
        shape = [size if other == axis else 1 for other in range(weights[0].ndim)]
        weights[0] = weights[0] * np.geomspace(0.3, 3, size).reshape(shape)
    layer.set_weights([weights[0], *(rng.normal(size=value.shape) for value in weights[1:])])
    return model


def kernel_in(tflite):
    """The real values of the kernel of the one operator that has one."""
    model = flatbuffer.load(tflite)
    graph = model.subgraphs[0]
    for operator in graph.operators:
        if len(operator.inputs) > 2:
            tensor = graph.tensors[operator.inputs[1]]
            scales = np.asarray(tensor.quantization.scale)
            shape = [1] * len(tensor.shape)
            shape[tensor.quantization.quantizedDimension] = scales.size
            values = model.buffers[tensor.buffer].data.view(np.int8).reshape(tensor.shape)
            return values * scales.reshape(shape)
    raise AssertionError("no operator has a kernel")


def test_every_kind_has_a_layer():
    assert LAYERS.keys() == INT8_CHANNEL_AXES.keys()


@pytest.mark.parametrize("framework", ["keras", "tf_keras"])
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.filterwarnings("ignore")
def test_simulated_kernel_is_that_of_the_file(framework, kind, tmp_path):
    keras = importlib.import_module(framework)
    keras.utils.set_random_seed(3)
    model = network(keras, kind)
    x = np.random.default_rng(0).normal(size=(16, *model.inputs[0].shape[1:])).astype(np.float32)
    q = mltq.quantize_model(model)
    tflite = mltq.convert(q, x)
    (simulated,) = (w for layer in mltq.strip(q).layers for w in layer.get_weights() if w.ndim > 1)
    trained = next(w for layer in model.layers for w in layer.get_weights())
    assert np.abs(simulated - trained).max() > 1e-3
    np.testing.assert_allclose(
        np.sort(kernel_in(tflite), None), np.sort(simulated, None), atol=1e-6
    )
    q.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), q.predict(x, verbose=0))
    np.testing.assert_allclose(
        mltq.strip(q).predict(x, verbose=0), model.predict(x, verbose=0), atol=0.5
    )
