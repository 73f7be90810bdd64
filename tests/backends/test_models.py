"""Keras 3 models in, Keras 3 models out: structure, weights, ranges, bad input."""

import io
import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops
from rich.console import Console

import tfmot_mltq as mltq
from tfmot_mltq.helpers.saved_config import CONFIG_VERSION
from tfmot_mltq.mathematics.decomposition import decompose, reconstruct


def residual_model():
    """Nested model, shared layer, separable convolution, operations between layers."""
    inputs = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="stem_bn")(x))
    block_input = keras.Input((12, 12, 8))
    y = layers.DepthwiseConv2D(3, padding="same", activation="relu6", name="dw")(block_input)
    block = keras.Model(block_input, layers.Conv2D(8, 1, name="pw")(y), name="block")
    x = layers.ReLU()(layers.Add()([x, block(x)]))
    shared = layers.Conv2D(8, 3, padding="same", activation="relu", name="shared")
    x = shared(shared(x)) + x
    x = layers.SeparableConv2D(12, 3, strides=2, name="sep")(x)
    x = ops.relu(layers.BatchNormalization()(x))
    x = layers.Flatten()(ops.transpose(x, (0, 2, 1, 3)))
    return keras.Model(inputs, layers.Dense(5, activation="softmax", name="head")(x))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((24, 12, 12, 3), dtype=np.float32)


@pytest.fixture(scope="module")
def model(images):
    keras.utils.set_random_seed(3)
    return residual_model()


@pytest.fixture(scope="module")
def trained(model, images):
    q = mltq.quantize_model(model, levels=2)
    q.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    q.fit(images, np.arange(24) % 5, batch_size=8, epochs=2, verbose=0)
    return q


def levels_by_layer(model):
    figures = mltq.summary(model, print_table=False)
    return {entry["name"]: entry["levels"] for entry in figures["layers"]}


def test_layers_keep_their_names_and_settings(model, trained):
    assert isinstance(trained, keras.Model)
    assert levels_by_layer(trained) == dict.fromkeys(
        ("dw", "pw", "shared", "sep_depthwise", "sep_pointwise"), 2
    )
    for name in ("stem", "stem_bn", "shared", "head"):
        old, new = model.get_layer(name), trained.get_layer(name)
        assert isinstance(new, type(old))
        assert [w.name for w in new.weights] == [w.name for w in old.weights]
    assert trained.get_layer("shared").kernel_size == (3, 3)
    lines = []
    trained.summary(print_fn=lambda line, **_: lines.append(line), line_length=120)
    text = "\n".join(lines)
    for shown in ("shared (MultiLevelConv2D)", "stem (Int8Conv2D)", "quantize_dw"):
        assert shown in text
    features = keras.Model(trained.inputs, trained.get_layer("sep_depthwise").output)
    assert features.output_shape == (None, 5, 5, 8)


def test_ranges_lie_where_tflite_stores_tensors(trained):
    names = [layer.name for layer in trained.layers if layer.name.startswith("quantize_")]
    quantized = {name.removeprefix("quantize_") for name in names}
    # Not behind what TFLite fuses or moves without change.
    assert quantized >= {"image", "dw", "pw", "shared", "sep_depthwise", "head"}
    assert not quantized & {"stem", "stem_bn", "add", "sep_pointwise", "flatten"}
    assert trained.get_layer("quantize_head_softmax").limits == (0.0, 255 / 256)
    assert not any("transpose" in name for name in quantized)


def test_the_float_model_is_not_changed(model, images):
    before = model.get_weights()
    names = [operation.name for operation in model.operations]
    q = mltq.quantize_model(model)
    q.compile("sgd", "sparse_categorical_crossentropy")
    q.fit(images, np.arange(24) % 5, verbose=0)
    assert [operation.name for operation in model.operations] == names
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("include", [True, False])
def test_first_and_last_layers_are_listed_with_the_reason(model, include):
    q = mltq.quantize_model(model, include_first_layer=include, include_last_layer=include)
    output = io.StringIO()
    listed = mltq.summary(q, console=Console(file=output, width=120))["int8_layers"]
    reasons = {entry["name"]: entry["reason"] for entry in listed}
    if include:
        assert not reasons
        assert levels_by_layer(q).keys() >= {"stem", "head"}
    else:
        assert set(reasons) == {"stem", "head"}
        assert "include_first_layer" in reasons["stem"]
        assert "include_last_layer" in reasons["head"]
        assert "include_first_layer" in output.getvalue()


def test_four_levels_are_close_to_the_float_model(model, images):
    reference = model.predict(images, verbose=0)
    error = {
        levels: np.abs(
            mltq.quantize_model(model, levels=levels, refit=True).predict(images, verbose=0)
            - reference
        ).max()
        for levels in (1, 4)
    }
    assert error[4] < 0.01
    assert error[4] < error[1]


@pytest.mark.parametrize("kind", ["ternary", "binary"])
@pytest.mark.parametrize("threshold", ["twn", "exact"])
def test_the_layer_computes_with_its_ternary_weights(kind, threshold, images):
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(4, 1)(inputs)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, name="dw")(x)
    float_model = keras.Model(inputs, layers.Conv2D(3, 1)(x))
    q = mltq.quantize_model(float_model, levels=3, kind=kind, threshold=threshold, refit=True)
    layer = q.get_layer("dw")
    planes, scales = mltq.ternary_weights(layer)
    assert planes.shape == (3, 3, 3, 4, 2)
    assert planes.dtype == np.int8
    # The same integers on every backend: they are computed in NumPy from the float kernel.
    matrix = np.array(layer.kernel).reshape(9, 8)
    np.testing.assert_array_equal(
        planes.reshape(3, 9, 8), decompose(matrix, layer.decomposition)[0]
    )
    kernel = reconstruct(planes.reshape(3, 9, 8).astype(np.float32), scales).reshape(3, 3, 4, 2)
    tensor = ops.convert_to_tensor(images[:4, :, :, [0, 1, 2, 0]])
    expected = ops.depthwise_conv(tensor, kernel, strides=1, padding="valid")
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer(tensor)), ops.convert_to_numpy(expected), rtol=1e-4, atol=1e-5
    )


def test_state_is_ordinary_weights(trained, images):
    ranges = trained.get_layer("quantize_image")
    assert [w.name for w in ranges.non_trainable_weights] == [
        "range_min", "range_max", "initialized",
    ]  # fmt: skip
    low, high, initialized = ranges.get_weights()
    assert low == 0
    assert 0.9 < high <= images.max()
    assert initialized == 1
    assert len(trained.get_weights()) == len(trained.weights)


def test_training_sets_the_range_to_the_first_batch_then_averages(model):
    q = mltq.quantize_model(model)
    q.compile("sgd", "sparse_categorical_crossentropy")
    for peak, expected in ((0.75, 0.75), (1.75, 0.99 * 0.75 + 0.01 * 1.75)):
        x = np.full((4, 12, 12, 3), 0.25, np.float32)
        x[0, 0, 0, 0] = peak
        q.train_on_batch(x, np.zeros(4))
        np.testing.assert_allclose(
            q.get_layer("quantize_image").get_weights(), [0.0, expected, 1.0], rtol=1e-6
        )


def test_calibration_sets_ranges_to_the_extremes_and_can_be_repeated(model, images):
    q = mltq.quantize_model(model)
    high = q.get_layer("quantize_image").range_max
    mltq.calibrate(q, images[:16] * 2)
    np.testing.assert_allclose(high.numpy(), images[:16].max() * 2, rtol=1e-6)
    mltq.calibrate(q, lambda: ([image[None]] for image in images))
    np.testing.assert_allclose(high.numpy(), images.max(), rtol=1e-6)
    mltq.calibrate(q, [{"image": images[:4]}, {"image": images[4:8] + 3}])
    np.testing.assert_allclose(high.numpy(), images[4:8].max() + 3, rtol=1e-6)


def test_bad_representative_datasets_change_nothing(trained):
    before = trained.get_weights()
    with pytest.raises(ValueError, match="has shape"):
        mltq.calibrate(trained, [np.ones((1, 12, 12, 3)), np.zeros((1, 2))])
    for old, new in zip(before, trained.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_activations_are_rounded_to_256_steps(images):
    inputs = keras.Input((12, 12, 3))
    model = keras.Model(inputs, layers.Conv2D(2, 1)(layers.Conv2D(2, 1)(inputs)))
    q = mltq.quantize_model(model, include_first_layer=True)
    data = (images - 0.3) * 5
    mltq.calibrate(q, data)
    layer = q.layers[1]
    out = ops.convert_to_numpy(layer(data))
    low, high, _ = layer.get_weights()
    step = (high - low) / 255
    np.testing.assert_allclose(out / step, np.rint(out / step), atol=2e-3)
    assert np.abs(out - data).max() <= step  # half a step, and the nudge of the range
    zeros = layer(np.zeros((1, 12, 12, 3), np.float32))
    np.testing.assert_array_equal(ops.convert_to_numpy(zeros), 0)  # exact, for padding


def test_strip_gives_a_plain_model_with_the_quantized_weights(trained, images):
    plain = mltq.strip(trained)
    assert all(type(layer).__module__.startswith("keras.") for layer in plain.layers)
    for name in ("dw", "shared"):
        planes, scales = mltq.ternary_weights(trained.get_layer(name))
        kernel = plain.get_layer(name).get_weights()[0]
        rebuilt = reconstruct(planes.reshape(2, -1, scales.shape[1]), scales)
        np.testing.assert_allclose(kernel.reshape(rebuilt.shape), rebuilt, rtol=1e-6, atol=1e-9)
    stem = plain.get_layer("stem").get_weights()[0]
    steps = stem / (np.abs(stem).max(axis=(0, 1, 2)) / 127)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
    # Only the rounding of activations is gone.
    error = np.abs(plain.predict(images, verbose=0) - trained.predict(images, verbose=0))
    assert error.max() < 0.05


def test_annotated_layers_are_the_ones_quantized(images, tmp_path):
    model = keras.Sequential([
        layers.Input((12, 12, 3)),
        mltq.quantize_annotate_layer(layers.Conv2D(4, 3, use_bias=False, name="a"), levels=3),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Conv2D(4, 3, name="b"),
        mltq.quantize_annotate_layer(layers.SeparableConv2D(4, 3, name="c"), levels=1),
        layers.Flatten(),
        layers.Dense(2, name="d"),
    ])  # fmt: skip
    model.save(tmp_path / "annotated.keras")
    loaded = keras.models.load_model(tmp_path / "annotated.keras")
    for annotated in (model, loaded):
        q = mltq.quantize_apply(annotated)
        assert levels_by_layer(q) == {"a": 3, "c_depthwise": 1, "c_pointwise": 1}
        np.testing.assert_array_equal(q.get_layer("a").get_weights()[0], model.get_weights()[0])
    with pytest.raises(mltq.UnsupportedModelError, match="already quantized or annotated"):
        mltq.quantize_model(model)


def test_sequential_models(images):
    model = keras.Sequential([layers.Conv2D(4, 3), layers.Conv2D(4, 3), layers.Conv2D(4, 3)])
    with pytest.raises(mltq.UnsupportedModelError, match="no input shape yet"):
        mltq.quantize_model(model)
    reference = model.predict(images, verbose=0)
    q = mltq.quantize_model(model, levels=4)
    assert list(levels_by_layer(q)) == [model.layers[1].name]
    assert np.abs(q.predict(images, verbose=0) - reference).max() < 0.3 * np.abs(reference).max()


def test_several_inputs_and_outputs():
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b", dtype="int32")
    x = layers.Dense(5, name="x")(layers.Concatenate()([a, ops.cast(b, "float32")]))
    model = keras.Model({"a": a, "b": b}, {"p": layers.Dense(3)(x), "q": layers.Dense(2)(x)})
    q = mltq.quantize_model(model, include_first_layer=True)
    data = {"a": np.ones((4, 6), np.float32), "b": np.ones((4, 6), np.int32)}
    mltq.calibrate(q, [data])
    out = q.predict(data, verbose=0)
    assert {name: value.shape for name, value in out.items()} == {"p": (4, 3), "q": (4, 2)}


def test_layers_that_cannot_be_quantized_are_named():
    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(8, 1)(inputs)
    x = layers.Conv2D(8, 3, groups=2, name="grouped")(x)
    x = layers.Conv2DTranspose(4, 3, name="transposed")(x)
    x = layers.Conv2D(4, 3)(x)
    model = keras.Model(inputs, layers.Conv2D(4, 3)(x))
    with pytest.warns(UserWarning, match="stays int8") as caught:
        q = mltq.quantize_model(model)
    texts = [str(w.message) for w in caught]
    assert any("'grouped' stays int8: it has 2 groups" in text for text in texts)
    assert any("'transposed' stays int8: its class, Conv2DTranspose" in text for text in texts)
    listed = mltq.summary(q, print_table=False)["int8_layers"]
    reasons = {entry["name"]: entry["reason"] for entry in listed}
    assert "2 groups" in reasons["grouped"]
    assert "Conv2DTranspose" in reasons["transposed"]


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


class OwnDense(layers.Dense):
    """A user's layer: it is not known what it computes, so it stays as it is."""


def with_nan():
    model = keras.Sequential([layers.Input((3,)), *(layers.Dense(3, name=n) for n in "abc")])
    model.layers[1].set_weights([np.full((3, 3), np.nan), np.zeros(3)])
    return model


def nested_subclass():
    inputs = keras.Input((4,))
    return keras.Model(inputs, Subclassed()(layers.Dense(4)(inputs)))


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (residual_model, {"levels": 0}, "levels must be from 1 to 4, got 0"),
        (Subclassed, {}, "subclassed model .*keras.Model"),
        (nested_subclass, {}, "subclassed model"),
        (
            with_nan,
            {"include_first_layer": True, "include_last_layer": True},
            "b/kernel: 9 of 9 weights are NaN",
        ),
        (lambda: "model.keras", {}, "Expected a Keras or tf_keras model, got str"),
        (lambda: layers.Dense(3), {}, "Expected a keras model, got Dense"),
    ],
)
def test_bad_models_are_refused(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        mltq.quantize_model(build(), **arguments)


def test_quantizing_twice_is_refused(trained, model):
    with pytest.raises(mltq.UnsupportedModelError, match="already quantized"):
        mltq.quantize_model(trained)
    for call in (mltq.strip, mltq.summary, mltq.convert):
        with pytest.raises(mltq.UnsupportedModelError, match="quantize_model"):
            call(model)


def test_a_users_subclass_of_a_layer_is_named():
    model = keras.Sequential([layers.Input((3,)), layers.Dense(4), OwnDense(4), layers.Dense(2)])
    with pytest.warns(UserWarning, match="its class, OwnDense"):
        q = mltq.quantize_model(model, include_first_layer=True)
    assert type(q.layers[4]) is OwnDense


def test_a_backend_that_cannot_train_is_refused(model, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(mltq.UnsupportedModelError, match=r"'numpy'.*KERAS_BACKEND"):
        mltq.quantize_model(model)


def test_conversion_on_another_backend_says_what_to_do(trained):
    if keras.backend.backend() == "tensorflow":
        assert mltq.convert(trained)[4:8] == b"TFL3"
        return
    with pytest.raises(mltq.ConversionError, match="KERAS_BACKEND=tensorflow"):
        mltq.convert(trained)


def test_layers_of_a_newer_version_are_refused(trained, tmp_path):
    path = tmp_path / "newer.keras"
    trained.save(path)
    keras.models.load_model(path)
    import zipfile

    newer = tmp_path / "newer2.keras"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(newer, "w") as new:
        for entry in old.namelist():
            content = old.read(entry)
            if entry == "config.json":
                saved = f'"config_version": {CONFIG_VERSION}'.encode()
                assert saved in content
                content = content.replace(saved, f'"config_version": {CONFIG_VERSION + 1}'.encode())
            new.writestr(entry, content)
    with pytest.raises(ValueError, match="saved by a newer tfmot_mltq"):
        keras.models.load_model(newer)


def test_nothing_warns_on_an_ordinary_model():
    model = keras.Sequential([layers.Input((3,)), *(layers.Dense(4) for _ in range(3))])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        mltq.quantize_model(model)
