"""quantize_model and its relatives on tf_keras models."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tfmot_mltq as mltq
from tfmot_mltq.helpers.saved_config import CONFIG_VERSION
from tfmot_mltq.mathematics.decomposition import reconstruct

layers = keras.layers


def levels_by_layer(model):
    """{name: levels} of the layers with multi-level weights."""
    return {
        entry["name"]: entry["levels"] for entry in mltq.summary(model, print_table=False)["layers"]
    }


def residual_model():
    """Nested model, shared layer, separable convolution, operators as layers."""
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
    x = tf.nn.relu(layers.BatchNormalization()(x))
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(5, activation="softmax", name="head")(x))


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    return residual_model()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((24, 12, 12, 3), dtype=np.float32)


@pytest.fixture(scope="module")
def trained(model, images):
    q = mltq.quantize_model(model, levels=2)
    q.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    q.fit(images, np.arange(24) % 5, batch_size=8, epochs=2, verbose=0)
    return q


def test_first_and_last_layers_stay_int8_by_default(model):
    assert set(levels_by_layer(mltq.quantize_model(model))) == {
        "quant_dw", "quant_pw", "quant_shared", "quant_sep_depthwise", "quant_sep_pointwise",
    }  # fmt: skip
    everything = mltq.quantize_model(
        model, levels=3, include_first_layer=True, include_last_layer=True
    )
    assert levels_by_layer(everything).keys() >= {"quant_stem", "quant_head"}
    assert set(levels_by_layer(everything).values()) == {3}


def test_the_float_model_is_not_changed(model, images):
    before = [w.copy() for w in model.get_weights()]
    names = [layer.name for layer in model.layers]
    q = mltq.quantize_model(model)
    q.compile("sgd", "sparse_categorical_crossentropy")
    q.fit(images, np.arange(24) % 5, verbose=0)
    assert [layer.name for layer in model.layers] == names
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_four_levels_are_close_to_the_float_model(model, images):
    q = mltq.quantize_model(model, levels=4, refit=True)
    reference = model.predict(images, verbose=0)
    error = np.abs(q.predict(images, verbose=0) - reference).max()
    coarse = mltq.quantize_model(model, levels=1)
    assert error < 0.01
    assert error < np.abs(coarse.predict(images, verbose=0) - reference).max()


def test_layers_are_addressable_and_belong_to_one_model(trained, images):
    features = keras.Model(trained.input, trained.get_layer("quant_shared").get_output_at(0))
    assert features.predict(images[:2], verbose=0).shape == (2, 12, 12, 8)
    for layer in trained.layers:
        if layer.name != "quant_shared":
            assert len(layer._inbound_nodes) == 1, layer.name


@pytest.mark.parametrize("kind", ["ternary", "binary"])
@pytest.mark.parametrize("per_channel", [True, False])
def test_ternary_weights_rebuild_what_the_layer_computes(kind, per_channel):
    inputs = keras.Input((6, 6, 4))
    x = layers.Conv2D(4, 1)(inputs)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, name="dw")(x)
    float_model = keras.Model(inputs, layers.Conv2D(3, 1)(x))
    q = mltq.quantize_model(float_model, levels=3, kind=kind, per_channel=per_channel)
    wrapper = q.get_layer("quant_dw")
    planes, scales = mltq.ternary_weights(wrapper)
    assert planes.shape == (3, 3, 3, 4, 2)
    assert planes.dtype == np.int8
    assert scales.shape == (3, 8)
    assert set(np.unique(planes)) == ({-1, 0, 1} if kind == "ternary" else {-1, 1})
    assert (scales == scales[:, :1]).all() == (not per_channel)
    kernel = reconstruct(planes.reshape(3, 9, 8).astype(np.float32), scales).reshape(3, 3, 4, 2)
    x = np.random.default_rng(1).standard_normal((1, 6, 6, 4)).astype(np.float32)
    # Not calibrated, so activations pass through as floats.
    inner = keras.Model(q.get_layer("quant_dw").input, q.get_layer("quant_dw").output)
    expected = tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "VALID")
    np.testing.assert_allclose(inner.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)


def test_gradients_reach_every_trainable_weight(model, images):
    q = mltq.quantize_model(model, levels=2)
    loss_of = keras.losses.SparseCategoricalCrossentropy()
    with tf.GradientTape() as tape:
        loss = loss_of(np.arange(24) % 5, q(images, training=True))
    gradients = tape.gradient(loss, q.trainable_weights)
    assert len(gradients) == len(model.trainable_weights)
    for weight, gradient in zip(q.trainable_weights, gradients, strict=True):
        assert gradient is not None, weight.name
        assert np.any(gradient.numpy() != 0), weight.name


def test_training_sets_the_ranges_from_the_data(model):
    q = mltq.quantize_model(model)
    x = np.full((4, 12, 12, 3), 0.25, np.float32)
    x[0, 0, 0, 0] = 0.75
    q(x, training=True)
    layer = q.get_layer("quantize_image")
    assert [float(w) for w in layer.get_weights()] == [0.0, 0.75, 1.0]


def test_the_training_phase_may_be_a_tensor(model, images):
    q = mltq.quantize_model(model)
    run = tf.function(lambda x, training: q(x, training=training))
    flag = q.get_layer("quantize_image").weights[2]
    run(images, tf.constant(False))
    assert float(flag) == 0
    run(images, tf.constant(True))
    assert float(flag) == 1


@pytest.mark.parametrize("extension", ["keras", "h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_saved_models_load_with_plain_load_model(trained, images, extension, tmp_path):
    path = tmp_path / f"model.{extension}"
    trained.save(path)
    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(
        loaded.predict(images, verbose=0), trained.predict(images, verbose=0)
    )
    assert levels_by_layer(loaded) == levels_by_layer(trained)
    loaded.fit(images, np.arange(24) % 5, epochs=1, verbose=0)  # it trains on


def test_models_of_a_newer_version_are_refused(trained):
    saved, newer = (f'"config_version": {CONFIG_VERSION + more}' for more in (0, 1))
    config = trained.to_json().replace(saved, newer)
    with pytest.raises(ValueError, match="saved by a newer tfmot_mltq"):
        keras.models.model_from_json(config)


def test_saved_models_load_in_a_quantize_scope(trained, images, tmp_path):
    trained.save_weights(tmp_path / "weights.h5")
    with mltq.quantize_scope({"Unused": object}):
        copy = keras.models.model_from_json(trained.to_json())
    copy.load_weights(tmp_path / "weights.h5")
    np.testing.assert_array_equal(
        copy.predict(images, verbose=0), trained.predict(images, verbose=0)
    )


def test_strip_gives_a_plain_model_with_the_quantized_weights(trained, images):
    plain = mltq.strip(trained)
    assert all(type(layer).__module__.startswith("tf_keras.") for layer in plain.layers)
    names = {layer.name for layer in plain.layers}
    assert names >= {"stem", "stem_bn", "dw", "pw", "shared", "sep_depthwise", "head"}
    for name in ("dw", "shared"):
        planes, scales = mltq.ternary_weights(trained.get_layer(f"quant_{name}"))
        kernel = plain.get_layer(name).get_weights()[0]
        rebuilt = reconstruct(planes.reshape(2, -1, scales.shape[1]), scales)
        np.testing.assert_allclose(kernel.reshape(rebuilt.shape), rebuilt, rtol=1e-6, atol=1e-9)
    stem = plain.get_layer("stem").get_weights()[0]
    steps = stem / (np.abs(stem).max(axis=(0, 1, 2)) / 127)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
    # Only the rounding of activations is gone.
    error = np.abs(plain.predict(images, verbose=0) - trained.predict(images, verbose=0))
    assert error.max() < 0.05


def test_annotated_layers_are_the_ones_quantized(images):
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
    q = mltq.quantize_apply(model)
    assert levels_by_layer(q) == {"quant_a": 3, "quant_c_depthwise": 1, "quant_c_pointwise": 1}
    assert q.predict(images, verbose=0).shape == (24, 2)


def test_the_scheme_plugs_into_tfmot(images):
    import tensorflow_model_optimization as tfmot

    model = keras.Sequential([layers.Input((12, 12, 3)), layers.Conv2D(4, 3), layers.Flatten()])
    annotated = tfmot.quantization.keras.quantize_annotate_model(model)
    scheme = mltq.MultiLevelQuantizeScheme(mltq.MultiLevelConfig(levels=2))
    q = tfmot.quantization.keras.quantize_apply(annotated, scheme)
    assert len(levels_by_layer(q)) == 1
    assert q.predict(images, verbose=0).shape == (24, 400)


def test_calibration_sets_ranges_to_the_extremes_and_can_be_repeated(model, images):
    q = mltq.quantize_model(model)
    weights = q.get_layer("quantize_image").get_weights
    mltq.calibrate(q, images[:16] * 2)
    np.testing.assert_allclose(weights()[1], images[:16].max() * 2, rtol=1e-6)
    mltq.calibrate(q, lambda: ([image[None]] for image in images))
    np.testing.assert_allclose(weights()[1], images.max(), rtol=1e-6)
    mltq.calibrate(q, [{"image": images[:4]}, {"image": images[4:8] + 3}])
    np.testing.assert_allclose(weights()[1], images[4:8].max() + 3, rtol=1e-6)
    mltq.calibrate(q, tf.data.Dataset.from_tensor_slices(images).batch(5))
    np.testing.assert_allclose(weights()[1], images.max(), rtol=1e-6)


@pytest.mark.parametrize(
    ("dataset", "error", "message"),
    [
        (np.zeros((4, 10, 12, 3)), ValueError, r"'image'.*\(4, 10, 12, 3\).*\(batch, 12, 12, 3\)"),
        (np.zeros((12, 12, 3)), ValueError, "has shape"),
        (np.float32(1), TypeError, "type float32"),
        ("images", TypeError, "type str"),
        (lambda: [["abc"]], TypeError, "not an array of numbers"),
        (lambda: [[np.zeros((1, 12, 12, 3)), 1]], ValueError, "gave 2 arrays"),
        ([{"picture": np.zeros((1, 12, 12, 3))}], ValueError, r"lacks the inputs \['image'\]"),
        ([], ValueError, "empty"),
        (np.full((1, 12, 12, 3), np.nan), ValueError, "NaN"),
        ([np.zeros((1, 12, 12, 3)), np.zeros((1, 2))], ValueError, "has shape"),
    ],
)
def test_bad_representative_datasets_are_refused_and_change_nothing(
    trained, dataset, error, message
):
    before = trained.get_weights()
    with pytest.raises(error, match=message):
        mltq.calibrate(trained, dataset)
    if not isinstance(dataset, list) or len(dataset) < 2:  # the second batch is the bad one
        with pytest.raises(error, match=message):
            mltq.convert(trained, dataset)
    for old, new in zip(before, trained.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def unbuilt():
    return keras.Sequential([layers.Dense(3)])


def with_nan():
    model = keras.Sequential([layers.Input((3,)), layers.Dense(2, name="broken")])
    model.layers[-1].set_weights([np.full((3, 2), np.nan), np.zeros(2)])
    return model


def nested_subclass():
    inputs = keras.Input((4,))
    return keras.Model(inputs, Subclassed()(layers.Dense(4)(inputs)))


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (residual_model, {"levels": 0}, "levels must be from 1 to 4, got 0"),
        (residual_model, {"kind": "int8"}, "kind must be one of"),
        (Subclassed, {}, "subclassed model"),
        (nested_subclass, {}, "subclassed model"),
        (unbuilt, {}, "no input shape yet"),
        (with_nan, {}, "broken/kernel:0: 6 of 6 weights are NaN"),
        (lambda: "model.h5", {}, "Expected a Keras or tf_keras model, got str"),
    ],
)
def test_bad_models_are_refused(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        mltq.quantize_model(build(), **arguments)


def test_mixed_precision_is_refused():
    dense = layers.Dense(3, dtype="mixed_float16", name="half")
    model = keras.Sequential([layers.Input((3,)), dense, layers.Dense(2), layers.Dense(2)])
    with pytest.raises(mltq.UnsupportedModelError, match="'half' computes in float16"):
        mltq.quantize_model(model)


def test_quantizing_twice_is_refused(trained, model):
    with pytest.raises(mltq.UnsupportedModelError, match="already quantized"):
        mltq.quantize_model(trained)
    for call in (mltq.strip, mltq.summary, mltq.convert):
        with pytest.raises(mltq.UnsupportedModelError, match="quantize_model"):
            call(model)


def test_layers_that_cannot_be_quantized_are_named():
    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(8, 1)(inputs)
    x = layers.Conv2D(8, 3, groups=2, name="grouped")(x)
    x = layers.Conv2DTranspose(4, 3, name="transposed")(x)
    x = layers.Conv2D(4, 3)(x)
    model = keras.Model(inputs, layers.Conv2D(4, 3)(x))
    with pytest.warns(UserWarning, match="stays int8") as caught:
        mltq.quantize_model(model)
    texts = [str(w.message) for w in caught]
    assert any("'grouped' stays int8: it has 2 groups" in text for text in texts)
    assert any("'transposed' stays int8: its class, Conv2DTranspose" in text for text in texts)
    with pytest.raises(mltq.UnsupportedModelError, match="2 groups"):
        mltq.quantize_annotate_layer(layers.Conv2D(8, 3, groups=2))
    with pytest.raises(mltq.UnsupportedModelError, match="LSTM"):
        mltq.quantize_annotate_layer(layers.LSTM(8))


def test_configurations_of_others_are_refused():
    import tensorflow_model_optimization as tfmot

    class Foreign(tfmot.quantization.keras.QuantizeConfig):
        def get_weights_and_quantizers(self, layer):
            return []

        get_activations_and_quantizers = get_output_quantizers = get_weights_and_quantizers

        def set_quantize_weights(self, layer, quantize_weights):
            pass

        set_quantize_activations = set_quantize_weights

        def get_config(self):
            return {}

    annotated = tfmot.quantization.keras.quantize_annotate_layer(layers.Dense(2), Foreign())
    model = keras.Sequential([layers.Input((3,)), annotated])
    with (
        mltq.quantize_scope({"Foreign": Foreign}),
        pytest.raises(mltq.UnsupportedModelError, match="annotated with Foreign"),
    ):
        mltq.quantize_apply(model)


def test_a_model_with_nothing_to_quantize_warns():
    model = keras.Sequential([layers.Input((3,)), layers.Dense(2)])
    with pytest.warns(UserWarning, match="include_first_layer"):
        mltq.quantize_model(model)
    with pytest.raises(ValueError, match="No layer of the model is annotated"):
        mltq.quantize_apply(model)


def test_ternary_weights_of_an_int8_layer_are_refused(trained):
    with pytest.raises(ValueError, match="'quant_stem' has no multi-level weights"):
        mltq.ternary_weights(trained.get_layer("quant_stem"))
