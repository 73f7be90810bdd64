"""Training: compiled, in mixed precision, on several devices, and the same on every framework."""

import keras
import numpy as np
import pytest
from contract_networks import Conv2D, Dense

import tfmot_mltq as mltq
from tfmot_mltq.mathematics.decomposition import decompose, reconstruct

BACKEND = keras.backend.backend()


@pytest.fixture
def data():
    x = Conv2D.data()
    return x, x.reshape(32, -1)[:, :4]


@pytest.fixture
def q():
    keras.utils.set_random_seed(4)
    return mltq.quantize_model(Conv2D.build(keras))


def losses_of(q, data, **options):
    q.compile(keras.optimizers.Adam(3e-3), "mse", **options)
    return q.fit(*data, batch_size=8, epochs=3, shuffle=False, verbose=0).history["loss"]


def ranges_of(q):
    return [layer for layer in q.layers if type(layer).__name__ == "QuantizeActivation"]


def test_compiled_and_eager_training_are_the_same():
    data = Dense.data(), Dense.data().reshape(32, -1)[:, :4]
    losses = {}
    for name, options in {
        "compiled": {"jit_compile": True},
        "eager": {"run_eagerly": True},
    }.items():
        keras.utils.set_random_seed(4)
        q = mltq.quantize_model(Dense.build(keras))
        losses[name] = losses_of(q, data, **options)
    # Compilers may fuse roundings; an activation that falls on the other side of one moves a step.
    np.testing.assert_allclose(losses["compiled"], losses["eager"], rtol=1e-2)


def test_mixed_precision_keeps_float32_masters(data, tmp_path):
    keras.utils.set_random_seed(4)
    keras.config.set_dtype_policy("mixed_bfloat16" if BACKEND == "torch" else "mixed_float16")
    try:
        q = mltq.quantize_model(Conv2D.build(keras))
        losses = losses_of(q, data)
    finally:
        keras.config.set_dtype_policy("float32")
    assert losses[-1] < losses[0]
    assert {w.dtype for w in q.weights} == {"float32"}
    layer = next(layer for layer in q.layers if type(layer).__name__ == "MultiLevelConv2D")
    assert layer.compute_dtype in ("float16", "bfloat16")
    # The planes are those of the float32 kernel, not of its half precision cast.
    kernel = layer.get_weights()[0]
    planes, scales = decompose(kernel.reshape(-1, kernel.shape[-1]), layer.decomposition)
    used = keras.ops.stop_gradient(keras.ops.cast(layer.call_kernel(training=False), "float32"))
    expected = reconstruct(planes, scales).reshape(kernel.shape)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(used), expected, rtol=1e-2)
    q.save(tmp_path / "mixed.keras")
    loaded = keras.models.load_model(tmp_path / "mixed.keras")
    np.testing.assert_array_equal(loaded.predict(data[0]), q.predict(data[0]))
    if BACKEND == "tensorflow":
        on_tflm = mltq.Interpreter(mltq.convert(q)).predict(data[0])
        assert np.abs(on_tflm - q.predict(data[0])).mean() < 0.05 * np.abs(on_tflm).max()


@pytest.mark.skipif(BACKEND == "torch", reason="keras.distribution has no PyTorch implementation")
def test_data_parallel_training(data):
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
            keras.utils.set_random_seed(4)
            q = mltq.quantize_model(Conv2D.build(keras))
            parallel = losses_of(q, data)
    else:
        devices = keras.distribution.list_devices()
        assert len(devices) == 2
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
        try:
            keras.utils.set_random_seed(4)
            q = mltq.quantize_model(Conv2D.build(keras))
            parallel = losses_of(q, data)
        finally:
            keras.distribution.set_distribution(None)
    keras.utils.set_random_seed(4)
    alone = mltq.quantize_model(Conv2D.build(keras))
    # Replicas of tf.distribute normalise and range their own half of a batch.
    np.testing.assert_allclose(parallel, losses_of(alone, data), rtol=0.1)
    ranges = [layer for layer in q.layers if type(layer).__name__ == "QuantizeActivation"]
    for layer, other in zip(
        ranges, (la for la in alone.layers if la.name.startswith("quantize_")), strict=True
    ):
        assert layer.initialized.numpy() == 1
        np.testing.assert_allclose(layer.get_weights(), other.get_weights(), rtol=0.3, atol=0.3)


def test_tensors_of_one_scale_train_with_one_range():
    layers = keras.layers
    keras.utils.set_random_seed(4)
    inputs = keras.Input((6, 6, 2))
    wide = layers.Conv2D(3, 1, kernel_initializer="ones")(inputs)
    both = layers.Concatenate()([layers.MaxPooling2D(2)(wide), layers.AveragePooling2D(2)(inputs)])
    x = layers.Dense(3, activation="tanh")(layers.Flatten()(both))
    q = mltq.quantize_model(keras.Model(inputs, layers.Dense(2)(x)), include_first_layer=True)
    x = np.random.default_rng(0).normal(size=(32, 6, 6, 2)).astype(np.float32)
    losses = losses_of(q, (x, np.ones((32, 2), np.float32)))
    assert losses[-1] < losses[0]
    (group,) = [layer for layer in ranges_of(q) if layer.sites > 1]
    low, high, initialized = group.get_weights()
    assert low.shape == (3,)
    assert (initialized == 1).all()
    assert (high > low).all()
    mltq.calibrate(q, x)
    low, high, _ = group.get_weights()
    assert low.min() <= x.min()
    assert high.max() >= x.max()


def test_checkpoints_hold_the_ranges(q, data, tmp_path):
    losses_of(q, data)
    q.save_weights(tmp_path / "checkpoint.weights.h5")
    copy = mltq.quantize_model(Conv2D.build(keras))
    copy.load_weights(tmp_path / "checkpoint.weights.h5")
    np.testing.assert_array_equal(copy.predict(data[0], verbose=0), q.predict(data[0], verbose=0))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="compares with tf_keras, which is TensorFlow's")
def test_losses_of_each_step_are_those_of_tf_keras(data):
    import tf_keras

    start = Conv2D.build(keras)
    losses = {}
    for framework in (keras, tf_keras):
        model = Conv2D.build(framework)
        model.set_weights(start.get_weights())
        q = mltq.quantize_model(model)
        q.compile(framework.optimizers.Adam(3e-3), "mse")
        losses[framework] = [
            float(q.train_on_batch(data[0][i : i + 8], data[1][i : i + 8]))
            for _ in range(3)
            for i in range(0, 32, 8)
        ]
    np.testing.assert_allclose(losses[keras], losses[tf_keras], rtol=1e-5)
