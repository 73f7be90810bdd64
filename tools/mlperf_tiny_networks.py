"""The four networks of MLPerf Tiny, whole, with random weights, for counting instructions."""

import keras
import numpy as np

import tfmot_mltq as mltq

layers = keras.layers
SEED = 1
_SAMPLES = 16


def _normalized(x):
    return layers.ReLU()(layers.BatchNormalization()(x))


def _resnet8():
    inputs = keras.Input((32, 32, 3))
    x = _normalized(layers.Conv2D(16, 3, padding="same")(inputs))
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        y = _normalized(layers.Conv2D(filters, 3, strides, padding="same")(x))
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(y))
        if strides != 1:
            x = layers.Conv2D(filters, 1, strides, padding="same")(x)
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def _separable(x, filters, strides=1):
    x = _normalized(layers.DepthwiseConv2D(3, strides, padding="same")(x))
    return _normalized(layers.Conv2D(filters, 1, padding="same")(x))


def _dscnn():
    inputs = keras.Input((49, 10, 1))
    x = _normalized(layers.Conv2D(64, (10, 4), 2, padding="same")(inputs))
    for _ in range(4):
        x = _separable(x, 64)
    x = layers.Flatten()(layers.AveragePooling2D((25, 5))(x))
    return keras.Model(inputs, layers.Dense(12, activation="softmax")(x))


def _mobilenetv1_025():
    inputs = keras.Input((96, 96, 3))
    x = _normalized(layers.Conv2D(8, 3, 2, padding="same")(inputs))
    for filters, strides in (
        (16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)
    ):  # fmt: skip
        x = _separable(x, filters, strides)
    x = layers.Flatten()(layers.AveragePooling2D(3)(x))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x))


def _autoencoder():
    inputs = x = keras.Input((640,))
    for units in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = _normalized(layers.Dense(units)(x))
    return keras.Model(inputs, layers.Dense(640)(x))


NETWORKS = {
    "resnet8": _resnet8,
    "dscnn": _dscnn,
    "mobilenetv1_025": _mobilenetv1_025,
    "autoencoder": _autoencoder,
}


def convert_network(name: str, levels: int, density: float) -> bytes:
    """A .tflite file of a network as a user gets it by default: first and last layer in int8.

    Args:
      name: One of ``NETWORKS``.
      levels: Of the layers between.
      density: Share of the bits that pruning leaves.
    """
    keras.utils.set_random_seed(SEED)
    model = NETWORKS[name]()
    quantized = mltq.quantize_model(model, levels=levels)
    if density < 1.0:
        schedule = mltq.ConstantSparsity(1.0 - density, begin_step=0)
        quantized = mltq.prune_low_magnitude(quantized, schedule, granularity="bit")
        update = mltq.UpdatePruningStep()
        update.set_model(quantized)
        update.on_train_begin()
        update.on_train_batch_begin(-1)
    shape = (_SAMPLES, *model.input_shape[1:])
    samples = np.random.default_rng(SEED).random(shape, dtype=np.float32)
    return mltq.convert(quantized, samples, verify=False)
