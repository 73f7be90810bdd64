"""prune_low_magnitude and UpdatePruningStep: the same on every framework and backend."""

import keras as keras3
import numpy as np
import pytest
from contract_networks import Conv2D, SeparableConv2D

import tfmot_mltq as mltq

BACKEND = keras3.backend.backend()
X = Conv2D.data()
Y = X.reshape(32, -1)[:, :4]


def to_sparsity(target, **changes):
    return mltq.PolynomialDecay(
        0.2, target, **{"begin_step": 0, "end_step": 8, "frequency": 2, **changes}
    )


def train(model, keras, epochs=3, **options):
    callbacks = options.pop("callbacks", None)
    model.compile(keras.optimizers.Adam(3e-3), "mse", **options)
    model.fit(X, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    return model


def train_pruned(model, keras, **options):
    return train(model, keras, callbacks=[mltq.UpdatePruningStep()], **options)


def zeros(model):
    """Non-zero entries of the planes by layer, as one Boolean array each."""
    return {
        layer.name: mltq.ternary_weights(layer)[0] != 0
        for layer in model.layers
        if "conv" in layer.name and "quantize" not in layer.name and has_levels(layer)
    }


def has_levels(layer):
    try:
        mltq.ternary_weights(layer)
    except ValueError:
        return False
    return True


def wanted(size, sparsity):
    return size - round(size * sparsity)


def assert_same(one, other):
    assert one.keys() == other.keys() != set()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("granularity", ["bit", "word"])
def test_each_layer_meets_its_sparsity_and_keeps_its_zeros(keras, granularity, tmp_path):
    q = mltq.quantize_model(Conv2D.build(keras))
    p = train_pruned(mltq.prune_low_magnitude(q, to_sparsity(0.85), granularity=granularity), keras)
    after = zeros(p)
    for planes in after.values():
        left = planes if granularity == "bit" else planes.any(axis=0)
        assert np.count_nonzero(left) == wanted(left.size, 0.85)
    # Further training, without the callback too.
    assert_same(zeros(train(p, keras, epochs=2)), after)
    # Saving and loading, and training what was loaded.
    for name in ("pruned.keras", "pruned.weights.h5"):
        if name.endswith(".keras"):
            p.save(tmp_path / name)
            loaded = keras.models.load_model(tmp_path / name)
        else:
            p.save_weights(tmp_path / name)
            loaded = mltq.prune_low_magnitude(q, to_sparsity(0.85), granularity=granularity)
            loaded.load_weights(tmp_path / name)
        np.testing.assert_array_equal(loaded.predict(X, verbose=0), p.predict(X, verbose=0))
        assert_same(zeros(train(loaded, keras, epochs=1)), after)
    # Baking.
    stripped = mltq.strip(p)
    for name, planes in after.items():
        kernel = stripped.get_layer(name.removeprefix("quant_")).get_weights()[0]
        np.testing.assert_array_equal(kernel != 0, planes.any(axis=0) & (kernel != 0))
        assert np.count_nonzero(kernel) >= 0.9 * np.count_nonzero(planes.any(axis=0))


def test_global_scope_meets_the_sparsity_of_the_model(keras):
    q = mltq.quantize_model(Conv2D.build(keras))
    p = mltq.prune_low_magnitude(
        q, to_sparsity(0.9), scope="global", criterion="relative_error_per_work", sparsity_of="work"
    )
    total = mltq.summary(train_pruned(p, keras), print_table=False)
    work = sum(entry["levels"] * entry["macs"] for entry in total["layers"])
    largest = max(entry["positions"] for entry in total["layers"])
    left = work / total["total"]["potential_speedup_bit"]
    assert 0 <= wanted(work, 0.9) - left < largest


def test_pruned_float_model_is_quantized_with_its_zeros(keras):
    model = Conv2D.build(keras)
    p = train_pruned(mltq.prune_low_magnitude(model, to_sparsity(0.75), granularity="word"), keras)
    assert [layer.name for layer in p.layers if "conv" in layer.name] != []
    stripped = mltq.strip(p)
    kernels = {
        layer.name: layer.get_weights()[0] != 0
        for layer in stripped.layers
        if layer.name in pruned_names(p)
    }
    assert len(kernels) == 3
    for kernel in kernels.values():
        assert np.count_nonzero(kernel) == wanted(kernel.size, 0.75)
    np.testing.assert_array_equal(stripped.predict(X, verbose=0), p.predict(X, verbose=0))
    q = train(mltq.quantize_model(p, levels=2), keras)
    for name, planes in zeros(q).items():
        alive = kernels[name.removeprefix("quant_")]
        assert not np.any(planes & ~alive)
        assert np.count_nonzero(planes.any(axis=0)) > 0.8 * np.count_nonzero(alive)
    # Bits of what is left.
    b = train_pruned(mltq.prune_low_magnitude(q, to_sparsity(0.95)), keras)
    for name, planes in zeros(b).items():
        assert np.count_nonzero(planes) == wanted(planes.size, 0.95)
        assert not np.any(planes & ~kernels[name.removeprefix("quant_")])


def pruned_names(model):
    return {
        layer.name.removeprefix("prune_low_magnitude_")
        for layer in model.layers
        if any(weight.name.rpartition("/")[2].startswith("mask") for weight in layer.weights)
    }


def test_first_layer_stays_pruned_as_int8(keras):
    model = Conv2D.build(keras)
    first = next(layer.name for layer in model.layers if "conv" in layer.name)
    p = mltq.prune_low_magnitude(
        model, mltq.ConstantSparsity(0.5, 0), granularity="word", layers=[first]
    )
    q = train(mltq.quantize_model(train_pruned(p, keras)), keras)
    kernel = mltq.strip(q).get_layer(first).get_weights()[0]
    assert 0.4 * kernel.size < np.count_nonzero(kernel) <= wanted(kernel.size, 0.5)


def test_blocks_and_channels(keras):
    q = mltq.quantize_model(Conv2D.build(keras))
    names = [entry["name"] for entry in mltq.summary(q, print_table=False)["layers"]]
    p = mltq.prune_low_magnitude(
        q, to_sparsity(0.75), granularity="word", block_size=(1, 2), layers=names[:2]
    )
    after = zeros(train_pruned(p, keras))
    for name in names[:2]:
        words = after[name].any(axis=0)
        pairs = words.reshape(-1, words.shape[-1] // 2, 2)
        assert set(pairs.sum(axis=-1).ravel()) == {0, 2}
    c = mltq.prune_low_magnitude(
        q, to_sparsity(0.5), granularity="word", block_size="channel", layers=names[:1]
    )
    words = zeros(train_pruned(c, keras))[names[0]].any(axis=0)
    per_channel = np.count_nonzero(words.reshape(-1, words.shape[-1]), axis=0)
    assert sorted(set(per_channel)) == [0, words.size // words.shape[-1]]
    assert np.count_nonzero(per_channel) == words.shape[-1] // 2


def test_separable_convolutions_are_pruned_as_two(keras, tmp_path):
    q = mltq.quantize_model(SeparableConv2D.build(keras), levels=1)
    x = SeparableConv2D.data()
    p = mltq.prune_low_magnitude(q, to_sparsity(0.9), granularity="word")
    f = mltq.prune_low_magnitude(SeparableConv2D.build(keras), to_sparsity(0.6), granularity="word")
    for model in (p, f):
        model.compile("adam", "mse")
        model.fit(
            x, x.reshape(32, -1)[:, :4], epochs=9, verbose=0, callbacks=[mltq.UpdatePruningStep()]
        )
    for entry in mltq.summary(p, print_table=False)["layers"]:
        assert entry["nonzero_words"] == wanted(entry["weights"], 0.9)
    for name, model in {"p.keras": p, "f.keras": f}.items():
        model.save(tmp_path / name)
        loaded = keras.models.load_model(tmp_path / name)
        np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    assert any(name.endswith("_pointwise") for name in pruned_names(f))
    entries = mltq.summary(mltq.quantize_model(f), print_table=False)["layers"]
    assert max(entry["word_density"] for entry in entries) < 0.5


def test_steps_are_counted_through_epochs_fits_and_files(keras, tmp_path):
    q = mltq.quantize_model(Conv2D.build(keras))
    schedule = to_sparsity(0.85, end_step=24)  # 4 steps an epoch
    at_once = train_pruned(mltq.prune_low_magnitude(q, schedule), keras, epochs=8)
    p = mltq.prune_low_magnitude(q, schedule)
    p.compile(keras.optimizers.Adam(3e-3), "mse")
    for _ in range(2):
        p.fit(X, Y, 8, epochs=2, shuffle=False, verbose=0, callbacks=[mltq.UpdatePruningStep()])
    p.save(tmp_path / "half.keras")
    loaded = keras.models.load_model(tmp_path / "half.keras")
    loaded.fit(X, Y, 8, epochs=4, shuffle=False, verbose=0, callbacks=[mltq.UpdatePruningStep()])
    assert_same(zeros(loaded), zeros(at_once))


@pytest.mark.skipif(BACKEND == "torch", reason="Keras runs single steps on PyTorch")
def test_several_steps_per_execution(keras):
    q = mltq.quantize_model(Conv2D.build(keras))
    p = mltq.prune_low_magnitude(q, to_sparsity(0.85, end_step=11, frequency=3))
    train_pruned(p, keras, steps_per_execution=2)
    for planes in zeros(p).values():
        assert np.count_nonzero(planes) == wanted(planes.size, 0.85)


def test_own_training_loop_uses_the_callback_as_that_of_tfmot(keras):
    p = mltq.prune_low_magnitude(mltq.quantize_model(Conv2D.build(keras)), to_sparsity(0.85))
    p.compile(keras.optimizers.Adam(3e-3), "mse")
    callback = mltq.UpdatePruningStep()
    callback.set_model(p)
    callback.on_train_begin()
    for _ in range(2):
        for start in range(0, 32, 8):
            callback.on_train_batch_begin(-1)
            p.train_on_batch(X[start : start + 8], Y[start : start + 8])
        callback.on_epoch_end(-1)
    for planes in zeros(p).values():
        assert np.count_nonzero(planes) == wanted(planes.size, 0.85)


def test_training_without_the_callback_says_so(keras):
    p = mltq.prune_low_magnitude(mltq.quantize_model(Conv2D.build(keras)), to_sparsity(0.85))
    message = r"nothing counts its steps.*callbacks=\[mltq.UpdatePruningStep\(\)\]"
    if BACKEND == "jax":  # an error in fit would cost the model its weights
        with pytest.warns(UserWarning, match=message):
            train(p, keras, epochs=1)
    else:
        with pytest.raises(ValueError, match=f"(?s){message}"):
            train(p, keras, epochs=1)
    train_pruned(p, keras)  # nothing is lost


def test_what_cannot_be_pruned_is_refused(keras):
    model = Conv2D.build(keras)
    q = mltq.quantize_model(model)
    with pytest.raises(mltq.UnsupportedModelError, match="is a float model, which has no bits"):
        mltq.prune_low_magnitude(model, to_sparsity(0.9))
    with pytest.raises(mltq.UnsupportedModelError, match=r"multi-level binary.*cannot be pruned"):
        mltq.prune_low_magnitude(mltq.quantize_model(model, kind="binary"), to_sparsity(0.9))
    with pytest.raises(ValueError, match=r"already has a sparsity of 0\.\d+ .*ends at 0\.3"):
        mltq.prune_low_magnitude(q, to_sparsity(0.3))
    with pytest.raises(ValueError, match=r"The model already has a sparsity"):
        mltq.prune_low_magnitude(q, to_sparsity(0.3), scope="global")
    with pytest.raises(ValueError, match="layers names head, which cannot be pruned"):
        mltq.prune_low_magnitude(q, to_sparsity(0.9), layers=["head"])
    with pytest.raises(ValueError, match=r"block_size \(1, 7\) does not divide"):
        mltq.prune_low_magnitude(q, to_sparsity(0.9), granularity="word", block_size=(1, 7))
    with pytest.raises(ValueError, match="has no pruned layers"):
        train_pruned(q, keras)
    again = mltq.prune_low_magnitude(
        train_pruned(mltq.prune_low_magnitude(q, to_sparsity(0.9)), keras), to_sparsity(0.9)
    )
    with pytest.raises(ValueError, match=r"already has a sparsity of 0\.9"):
        mltq.prune_low_magnitude(again, to_sparsity(0.8))


def test_gradients_stop_at_pruned_words(keras):
    q = mltq.quantize_model(Conv2D.build(keras))
    p = train_pruned(mltq.prune_low_magnitude(q, to_sparsity(0.9)), keras)
    before, planes = kernels(p), zeros(p)
    train(p, keras, epochs=2)
    for name, kernel in kernels(p).items():
        alive = planes[name].any(axis=0)
        np.testing.assert_array_equal(kernel[~alive], before[name][~alive])
        assert np.mean(kernel[alive] != before[name][alive]) > 0.5


def kernels(model):
    found = {}
    for layer in model.layers:
        for weight in layer.weights:
            if layer.name in zeros(model) and weight.name.rpartition("/")[2].startswith("kernel"):
                found[layer.name] = np.array(keras3.ops.convert_to_numpy(weight))
    return found


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf_keras stands beside TensorFlow only")
def test_frameworks_prune_alike():
    import tf_keras

    models = [Conv2D.build(keras) for keras in (keras3, tf_keras)]
    models[1].set_weights(models[0].get_weights())
    found = []
    for keras, model in zip((keras3, tf_keras), models, strict=True):
        q = mltq.quantize_model(model)
        p = mltq.prune_low_magnitude(q, to_sparsity(0.9), scope="global")
        found.append(list(zeros(train_pruned(p, keras)).values()))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(BACKEND == "torch", reason="keras.distribution has no PyTorch implementation")
def test_data_parallel_pruning(keras):
    def train_in_parallel():
        q = mltq.quantize_model(Conv2D.build(keras))
        p = mltq.prune_low_magnitude(q, to_sparsity(0.9, end_step=10))
        return train_pruned(p, keras)

    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
            p = train_in_parallel()
    else:
        devices = keras.distribution.list_devices()
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
        try:
            p = train_in_parallel()
        finally:
            keras.distribution.set_distribution(None)
    found = zeros(p)
    assert len(found) == 3
    for planes in found.values():
        assert np.count_nonzero(planes) == wanted(planes.size, 0.9)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TFMOT is TensorFlow's")
def test_tfmot_knows_the_wrapper_of_float_layers():
    import tensorflow_model_optimization as tfmot
    import tf_keras

    p = mltq.prune_low_magnitude(Conv2D.build(tf_keras), to_sparsity(0.75), granularity="word")
    train_pruned(p, tf_keras)
    stripped = tfmot.sparsity.keras.strip_pruning(p)
    names = pruned_names(p)
    assert len(names) == 3
    for name in names:
        kernel = stripped.get_layer(name).get_weights()[0]
        assert np.count_nonzero(kernel) == wanted(kernel.size, 0.75)
    np.testing.assert_array_equal(stripped.predict(X, verbose=0), p.predict(X, verbose=0))
