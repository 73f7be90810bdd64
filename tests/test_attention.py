"""Attention layers are written out in layers whose tensors have int8 ranges."""

import importlib

import numpy as np
import pytest
from structures import randomise, with_levels

import tfmot_mltq as mltq
from tfmot_mltq.layout.attention import expand_attention
from tfmot_mltq.layout.frameworks import adapter_of

SERIES = (6, 4)
FRAMEWORKS = ("keras", "tf_keras")
KINDS = ("MultiHeadAttention", "GroupedQueryAttention", "Attention", "AdditiveAttention")

pytestmark = pytest.mark.filterwarnings("ignore:Layer .* stays int8")


def build(keras, body):
    """A model of two sequences, of 6 and of 9 positions, with random weights."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(SERIES)
    y = keras.layers.Conv1D(4, 2)(keras.layers.ZeroPadding1D(2)(inputs))
    model = keras.Model(inputs, body(keras, keras.layers.Dense(8)(inputs), y))
    randomise(model, np.random.default_rng(3))
    return model


def samples(count=64):
    return np.random.default_rng(1).normal(size=(count, *SERIES)).astype(np.float32)


def self_attention(keras, x, y):
    return keras.layers.MultiHeadAttention(2, 3, dropout=0.1)(x, x)


def cross_attention(keras, x, y):
    layer = keras.layers.MultiHeadAttention(3, 4, value_dim=5, use_bias=False, output_shape=7)
    return layer(x, y, key=keras.layers.Dense(3)(y))


def called_twice(keras, x, y):
    layer = keras.layers.MultiHeadAttention(2, 4)
    return layer(layer(x, x), x)


def grouped(keras, x, y):
    return keras.layers.GroupQueryAttention(4, 6, 3)(x, keras.layers.Dense(8)(y))


def products(keras, x, y):
    return keras.layers.Attention(use_scale=True, dropout=0.1)([keras.layers.Dense(4)(x), y])


def products_with_keys(keras, x, y):
    return keras.layers.Attention()([x, y, keras.layers.Dense(8)(y)])


def sums(keras, x, y):
    return keras.layers.AdditiveAttention()([keras.layers.Dense(4)(x), y])


def sums_without_scale(keras, x, y):
    return keras.layers.AdditiveAttention(use_scale=False)([x, x])


BODIES = [
    self_attention,
    cross_attention,
    called_twice,
    grouped,
    products,
    products_with_keys,
    sums,
    sums_without_scale,
]
CASES = [(f, body) for f in FRAMEWORKS for body in BODIES if (f, body) != ("tf_keras", grouped)]


@pytest.mark.parametrize(("framework", "body"), CASES)
@pytest.mark.filterwarnings("ignore:.*its scale stays as it is")
def test_written_out_attention_computes_the_same(framework, body):
    model = build(importlib.import_module(framework), body)
    expanded = expand_attention(model, adapter_of(model).graphs)
    assert not any(type(layer).__name__ in KINDS for layer in expanded.layers)
    parts = {layer.name for layer in expanded.layers} - {layer.name for layer in model.layers}
    assert parts
    assert not parts & with_levels(model)
    x = samples(6)
    np.testing.assert_allclose(np.asarray(expanded(x)), np.asarray(model(x)), atol=2e-6)


@pytest.mark.parametrize(("framework", "body"), CASES)
@pytest.mark.filterwarnings("ignore:.*its scale stays as it is")
def test_attention_is_int8_without_a_calibration_by_tensorflow(framework, body):
    q = mltq.quantize_model(build(importlib.import_module(framework), body))
    x = samples()
    mltq.calibrate(q, x)
    tflite = mltq.convert(q)
    in_keras = q.predict(x, verbose=0)
    for runtime in ("tflm", "litert"):
        options = {"reference_kernels": True} if runtime == "litert" else {}
        interpreter = mltq.Interpreter(tflite, runtime, **options)
        error = np.abs(interpreter.predict(x) - in_keras) / interpreter.output_details[0].scale
        assert error.mean() < 0.2
        # A step of the scores may be much of a weight, if rarely.
        assert (error > 3.01).mean() < 0.005


def causal(keras, x, y):
    return keras.layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)


def with_scores(keras, x, y):
    result, scores = keras.layers.MultiHeadAttention(2, 3)(x, x, return_attention_scores=True)
    return keras.layers.Concatenate()([result, keras.layers.Reshape((6, 12))(scores)])


def of_images(keras, x, y):
    x = keras.layers.Reshape((2, 3, 8))(x)
    return keras.layers.MultiHeadAttention(2, 3, attention_axes=(1, 2))(x, x)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("body", [causal, with_scores, of_images])
def test_other_attention_stays(framework, body):
    model = build(importlib.import_module(framework), body)
    assert expand_attention(model, adapter_of(model).graphs) is model


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_quantized_attention_trains_loads_and_strips(framework, tmp_path):
    keras = importlib.import_module(framework)

    def body(keras, x, y):
        return keras.layers.Dense(2)(keras.layers.Flatten()(self_attention(keras, x, y)))

    q = mltq.quantize_model(build(keras, body))
    x = samples()
    q.compile(keras.optimizers.Adam(0.01), "mse")
    losses = q.fit(x, x[:, 0, :2], 16, 8, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]
    q.save(tmp_path / "q.keras")
    loaded = keras.models.load_model(tmp_path / "q.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), q.predict(x, verbose=0), atol=1e-6)
    assert mltq.strip(loaded).predict(x, verbose=0).shape == (len(x), 2)
