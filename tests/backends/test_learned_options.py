"""Scales and thresholds that are trained."""

import keras as keras3
import numpy as np
import pytest
from contract_networks import Conv2D, DepthwiseConv2D

import tfmot_mltq as mltq

LEARNED = {"learned_scales": True, "threshold": "learned"}


def trained(q, keras, x, epochs=4):
    q.compile(keras.optimizers.Adam(0.01), "mse")
    q.fit(x, x.reshape(32, -1)[:, :4], batch_size=8, epochs=epochs, verbose=0)
    return q


def held(model, name):
    """Weights called ``name``, one per layer."""
    return [
        np.array(keras3.ops.convert_to_numpy(weight))
        for layer in model.layers
        for weight in layer.weights
        if weight.name.partition(":")[0].rpartition("/")[2] == name
    ]


@pytest.mark.parametrize("network", [Conv2D, DepthwiseConv2D])
def test_starts_as_untrained_and_learns(keras, network, tmp_path):
    model, x = network.build(keras), network.data()
    plain = mltq.quantize_model(model, network.levels, **network.arguments)
    q = mltq.quantize_model(model, network.levels, **network.arguments, **LEARNED)
    for one in (plain, q):
        mltq.calibrate(one, x)
    np.testing.assert_allclose(q.predict(x, verbose=0), plain.predict(x, verbose=0), atol=1e-5)
    before = held(q, "scales"), held(q, "thresholds")
    trained(q, keras, x)
    for old, name in zip(before, ("scales", "thresholds"), strict=True):
        new = held(q, name)
        assert len(new) == len(network.custom_ops)
        assert all(np.any(one != other) for one, other in zip(new, old, strict=True))
    assert all(np.all(thresholds == np.float32(0.7)) for thresholds in before[1])
    q.save(tmp_path / "learned.keras")
    loaded = keras.models.load_model(tmp_path / "learned.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), q.predict(x, verbose=0))
    if keras3.backend.backend() == "tensorflow":
        tflite = mltq.convert(q)
        on_tflm = mltq.Interpreter(tflite).predict(x)
        # One step of the output's range per 256.
        assert np.abs(on_tflm - q.predict(x, verbose=0)).max() < 0.03 * np.abs(on_tflm).max()


def test_scales_are_those_that_are_baked_and_reported(keras):
    q = trained(mltq.quantize_model(Conv2D.build(keras), **LEARNED), keras, Conv2D.data())
    layers = [entry["name"] for entry in mltq.summary(q, print_table=False)["layers"]]
    for name, scales in zip(layers, held(q, "scales"), strict=True):
        planes, found = mltq.ternary_weights(q.get_layer(name))
        np.testing.assert_array_equal(found, np.abs(scales))
        kernel = mltq.strip(q).get_layer(name.removeprefix("quant_")).get_weights()[0]
        np.testing.assert_allclose(
            kernel, np.einsum("m...c,mc->...c", planes, found), rtol=1e-5, atol=1e-6
        )


def test_learned_scales_of_a_pruned_model(keras):
    q = mltq.quantize_model(Conv2D.build(keras), **LEARNED)
    p = mltq.prune_low_magnitude(q, mltq.PolynomialDecay(0.3, 0.9, 0, 8, frequency=2))
    p.compile(keras.optimizers.Adam(0.01), "mse")
    x = Conv2D.data()
    p.fit(x, x.reshape(32, -1)[:, :4], 8, 3, verbose=0, callbacks=[mltq.UpdatePruningStep()])
    for entry in mltq.summary(p, print_table=False)["layers"]:
        bits = 2 * entry["weights"]
        assert entry["nonzero_bits"] == bits - round(0.9 * bits)


def test_choices_that_exclude_each_other_are_refused(keras):
    model = Conv2D.build(keras)
    with pytest.raises(ValueError, match="refit and learned_scales are mutually exclusive"):
        mltq.quantize_model(model, refit=True, learned_scales=True)
    with pytest.raises(ValueError, match="no thresholds to learn"):
        mltq.quantize_model(model, kind="binary", threshold="learned")
