"""Tensors that TFLite stores with one scale share one range, in both frameworks."""

import importlib

import numpy as np
import pytest

import tfmot_mltq as mltq

FRAMEWORKS = pytest.mark.parametrize("framework", ["keras", "tf_keras"])


def group_ranges(q):
    """(values of range_min, of range_max) of the quantizer that is called at several places."""
    (layer,) = [
        layer
        for layer in q.layers
        if type(layer).__name__ == "QuantizeActivation" and layer.sites > 1
    ]
    low, high, _ = (weight.numpy() for weight in layer.weights)
    return low, high


def two_branches(keras):
    """A concatenation of a wide branch and a narrow one, which is read elsewhere too."""
    layers = keras.layers
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6, 6, 2))
    wide = layers.Conv2D(3, 1, name="wide", kernel_initializer="ones")(inputs)
    narrow = layers.Conv2D(3, 1, name="narrow")(inputs)
    x = layers.Concatenate()([layers.MaxPooling2D(2)(wide), layers.AveragePooling2D(2)(narrow)])
    both = layers.Dense(2)(layers.Flatten()(x))
    return keras.Model(inputs, [both, layers.Dense(2)(layers.Flatten()(narrow))])


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(32, 6, 6, 2)).astype(np.float32)


@FRAMEWORKS
def test_the_range_of_a_group_holds_the_values_of_all(framework, images):
    keras = importlib.import_module(framework)
    model = two_branches(keras)
    q = mltq.quantize_model(model)
    mltq.calibrate(q, images)
    low, high = group_ranges(q)
    assert len(low) == 3  # wide, narrow, and the average of narrow
    prefix = "quant_" if framework == "tf_keras" else ""
    branches = keras.Model(
        q.inputs, [q.get_layer(f"{prefix}{name}").output for name in ("wide", "narrow")]
    )
    tensors = branches.predict(images, verbose=0)
    assert high.max() == pytest.approx(max(t.max() for t in tensors), rel=0.05)
    assert low.min() == pytest.approx(min(t.min() for t in tensors), rel=0.05)
    tflite = mltq.convert(q, images)
    joined = [
        error["scale"]
        for error in mltq.debug(q, tflite, images, print_table=False)
        if error["op"] in ("CONCATENATION", "MAX_POOL_2D", "AVERAGE_POOL_2D")
    ]
    np.testing.assert_allclose(joined, [(high.max() - low.min()) / 255] * 3, rtol=1e-5)


@FRAMEWORKS
def test_groups_train_and_are_saved(framework, images, tmp_path):
    keras = importlib.import_module(framework)
    q = mltq.quantize_model(two_branches(keras))
    q.compile("sgd", "mse")
    targets = [np.zeros((32, 2), np.float32)] * 2
    q.fit(images, targets, batch_size=8, verbose=0)
    low, high = group_ranges(q)
    assert (high > 0).all()
    assert (low < 0).all()
    q.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(group_ranges(q), group_ranges(loaded), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    tflite = mltq.convert(loaded)
    for want, have in zip(
        q.predict(images, verbose=0), mltq.Interpreter(tflite).predict(images), strict=True
    ):
        assert np.abs(want - have).max() < 0.05 * np.ptp(want)


@FRAMEWORKS
def test_a_resize_does_not_saturate_what_it_reads(framework):
    keras = importlib.import_module(framework)
    layers = keras.layers
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 1, activation="relu", kernel_initializer="ones")(inputs)
    x = layers.Conv2D(4, 1, activation="relu", kernel_initializer="ones")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    model = keras.Model(inputs, layers.Conv2D(1, 1, kernel_initializer="ones")(x))
    peaks = np.zeros((16, 8, 8, 1), np.float32)
    for n in range(16):
        peaks[n, 2 + n % 4, 2 + n // 4, 0] = 1.0
    q = mltq.quantize_model(model)
    highest = mltq.Interpreter(mltq.convert(q, peaks)).predict(peaks).max((1, 2, 3))
    np.testing.assert_allclose(highest, 9.0, rtol=0.02)


@FRAMEWORKS
def test_fixed_ranges_are_simulated(framework):
    keras = importlib.import_module(framework)
    layers = keras.layers
    inputs = keras.Input((5,))
    x = layers.Dense(8, activation="tanh", name="gate")(inputs)
    q = mltq.quantize_model(keras.Model(inputs, layers.Dense(2)(x)))
    x = np.random.default_rng(0).normal(size=(32, 5)).astype(np.float32)
    mltq.calibrate(q, x)
    gate = keras.Model(q.inputs, q.get_layer("quantize_gate_tanh").output)
    steps = gate.predict(x, verbose=0) * 128
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
    assert len(np.unique(np.rint(steps))) > 16


def ranges_behind(q, name):
    """The smallest and largest value of the quantizer behind a layer of its own."""
    layer = q.get_layer(f"quantize_{name}")
    return [float(weight.numpy()) for weight in layer.weights][:2]


SATURATING = {
    "tanh": (-3.25, 3.25),
    "sigmoid": (-6.4, 6.4),
    "hard_sigmoid": (-3.0, 3.0),
}


@FRAMEWORKS
@pytest.mark.parametrize("activation", SATURATING)
def test_a_range_ends_where_the_only_reader_saturates(framework, activation):
    keras = importlib.import_module(framework)
    layers = keras.layers
    inputs = keras.Input((5,))
    x = layers.Dense(8, name="steep", kernel_initializer="ones")(inputs)
    x = layers.Activation(activation)(x)
    q = mltq.quantize_model(keras.Model(inputs, layers.Dense(2)(x)))
    x = np.random.default_rng(0).normal(0, 9, size=(64, 5)).astype(np.float32)
    mltq.calibrate(q, x)
    np.testing.assert_allclose(ranges_behind(q, "steep"), SATURATING[activation])
    q.compile("sgd", "mse")
    q.fit(x, np.zeros((64, 2), np.float32), verbose=0)
    low, high = ranges_behind(q, "steep")
    smallest, largest = (limit * 1.001 for limit in SATURATING[activation])
    assert smallest < low < 0 < high < largest
    difference = q.predict(x, verbose=0) - mltq.Interpreter(mltq.convert(q, x)).predict(x)
    assert np.abs(difference).max() < 0.02 * np.ptp(q.predict(x, verbose=0))


@FRAMEWORKS
@pytest.mark.parametrize("reader", ["output of the model", "another layer"])
def test_a_range_is_whole_where_its_values_are_read_elsewhere(framework, reader):
    keras = importlib.import_module(framework)
    layers = keras.layers
    inputs = keras.Input((5,))
    steep = layers.Dense(8, name="steep", kernel_initializer="ones")(inputs)
    other = steep if reader == "output of the model" else layers.Dense(2)(steep)
    model = keras.Model(inputs, [layers.Dense(2)(layers.Activation("tanh")(steep)), other])
    q = mltq.quantize_model(model)
    x = np.random.default_rng(0).normal(0, 9, size=(64, 5)).astype(np.float32)
    tflite = mltq.convert(q, x)
    (scale,) = {
        error["scale"]
        for error in mltq.debug(q, tflite, x, print_table=False)
        if error["layer"] == "steep"
    }
    assert scale == pytest.approx(np.ptp(x.sum(axis=1)) / 255, rel=0.05)


@FRAMEWORKS
def test_averages_are_rounded_as_the_operator_rounds_them(framework, images):
    keras = importlib.import_module(framework)
    inputs = keras.Input((6, 6, 2))
    q = mltq.quantize_model(keras.Model(inputs, keras.layers.AveragePooling2D(2)(inputs)))
    have = mltq.Interpreter(mltq.convert(q, images)).predict(images)
    # A quarter of all averages of four integers are halves.
    np.testing.assert_allclose(have, q.predict(images, verbose=0), atol=1e-5)
