"""Every layer kind: trains, its gradients reach every weight, saves and loads."""

import numpy as np
import pytest
from contract_networks import NETWORKS

import tfmot_mltq as mltq


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)
def test_layer_contract(network, keras, models_folder):
    data = network.data()
    target = data.reshape(32, -1)[:, :4]
    q = mltq.quantize_model(network.build(keras), levels=network.levels, **network.arguments)
    q.compile(keras.optimizers.Adam(3e-3), "mse")
    before = [np.array(weight.numpy()) for weight in q.trainable_weights]
    losses = q.fit(data, target, batch_size=8, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for weight, old in zip(q.trainable_weights, before, strict=True):
        # Dead ReLUs may leave entries without gradient, never most of a weight.
        assert np.mean(weight.numpy() != old) > 0.5, weight.name

    path = models_folder / f"{network.__name__}_{keras.__name__}.keras"
    q.save(path)
    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(loaded.predict(data, verbose=0), q.predict(data, verbose=0))
    for old, new in zip(q.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    names = [layer.name for layer in q.layers]
    assert [layer.name for layer in loaded.layers] == names
    loaded.fit(data, target, verbose=0)  # it trains on, with its optimizer
