"""Multi-level activations of Keras 3 models."""

import keras
import numpy as np
import pytest
from keras import layers

import tfmot_mltq as mltq
from tfmot_mltq.mathematics import activation_levels


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((32, 8, 8, 3), dtype=np.float32)


@pytest.fixture(scope="module", params=["ternary", "binary"])
def trained(request, images):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([
        keras.Input((8, 8, 3)),
        layers.Conv2D(8, 3, name="stem"),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Conv2D(8, 3, name="conv"),
        layers.ReLU(),
        layers.Flatten(),
        layers.Dense(4, name="head"),
    ])  # fmt: skip
    q = mltq.quantize_model(
        model, levels=2, kind=request.param, activation_levels=3, include_last_layer=True
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    q.compile(keras.optimizers.Adam(1e-2), loss)
    q.fit(images, np.arange(32) % 4, batch_size=8, epochs=3, verbose=0)
    return q


def test_scales_and_thresholds_are_trained(trained):
    for name in ("ternarize_conv", "ternarize_head"):
        layer = trained.get_layer(name)
        assert float(layer.initialized.numpy()) == 1
        assert np.abs(layer.factors.numpy() - 1).min() > 1e-4
        moved = np.abs(layer.thresholds.numpy() - activation_levels.INITIAL_THRESHOLD).max() > 1e-4
        assert moved == (layer.kind == "ternary")


def test_layers_read_whole_levels(trained, images):
    layer = trained.get_layer("ternarize_head")
    before, after = (
        keras.Model(trained.inputs, tensor).predict(images, verbose=0)
        for tensor in (layer.input, layer.output)
    )
    levels = layer.activation_levels()
    values = levels.step * np.tensordot(levels.counts.astype(np.int64), levels.planes(before), 1)
    np.testing.assert_allclose(after, values, atol=1e-5)


def test_saved_models_come_back(trained, images, tmp_path):
    trained.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    expected = trained.predict(images, verbose=0)
    np.testing.assert_allclose(loaded.predict(images, verbose=0), expected, atol=1e-6)


def test_stripped_models_have_plain_layers(trained):
    names = [layer.name for layer in mltq.strip(trained).layers]
    assert not any(name.startswith("ternarize") for name in names)


def test_calibration_starts_the_scales(images):
    model = keras.Sequential([
        keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(6, activation="relu"),
        layers.Dense(5, activation="relu"), layers.Dense(2),
    ])  # fmt: skip
    q = mltq.quantize_model(model, levels=1, activation_levels=2)
    mltq.calibrate(q, images)
    names = [layer.name for layer in q.layers if layer.name.startswith("ternarize")]
    assert len(names) == 1
    scales = q.get_layer(names[0]).base.numpy()
    assert (scales > 0).all()
