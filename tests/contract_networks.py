"""One small network around each quantized layer kind, for the contract that all of them keep.

`backends/test_contract.py` trains them in every framework and on every backend, and stores them;
`test_convert.py` converts what was stored.
"""

import numpy as np


class Network:
    """A network: `body` gets a framework's `layers`, and leads from the input to the head."""

    input_shape: tuple[int, ...]
    levels = 2
    arguments: dict = {}  # noqa: RUF012
    custom_ops: list[str]

    @staticmethod
    def body(layers, x):
        raise NotImplementedError

    @classmethod
    def data(cls):
        return np.random.default_rng(5).normal(size=(32, *cls.input_shape)).astype(np.float32)

    @classmethod
    def build(cls, keras):
        """The float model."""
        layers = keras.layers
        inputs = keras.Input(cls.input_shape)
        outputs = layers.Dense(4, name="head")(layers.Flatten()(cls.body(layers, inputs)))
        return keras.Model(inputs, outputs)


class Conv2D(Network):
    input_shape = (9, 8, 3)
    custom_ops = ["MLTQ_CONV_2D"] * 3

    @staticmethod
    def body(layers, x):
        x = layers.Conv2D(6, 1)(x)
        x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
        x = layers.Conv2D(6, (3, 2), dilation_rate=2, padding="same", activation="relu")(x)
        return layers.Conv2D(5, (2, 3), activation="relu6")(x)


class DepthwiseConv2D(Network):
    input_shape = (8, 9, 3)
    levels = 3
    arguments = {"per_channel": False}  # noqa: RUF012
    custom_ops = ["MLTQ_DEPTHWISE_CONV_2D"] * 2

    @staticmethod
    def body(layers, x):
        x = layers.Conv2D(4, 1)(x)
        x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", use_bias=False)(x)
        x = layers.Activation("relu")(layers.BatchNormalization(scale=False)(x))
        # Strides are equal: TensorFlow computes no others.
        return layers.DepthwiseConv2D((3, 2), strides=2, activation="relu6")(x)


class SeparableConv2D(Network):
    input_shape = (8, 8, 3)
    levels = 1
    custom_ops = ["MLTQ_DEPTHWISE_CONV_2D", "MLTQ_CONV_2D"]  # noqa: RUF012

    @staticmethod
    def body(layers, x):
        x = layers.Conv2D(4, 1)(x)
        x = layers.SeparableConv2D(12, 3, strides=2, padding="same", depth_multiplier=2)(x)
        return layers.ReLU()(layers.BatchNormalization()(x))


class Conv1D(Network):
    input_shape = (20, 3)
    levels = 4
    custom_ops = ["MLTQ_CONV_2D"] * 3

    @staticmethod
    def body(layers, x):
        x = layers.Conv1D(6, 3, activation="relu")(x)
        x = layers.Conv1D(8, 5, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(center=False)(x))
        x = layers.Conv1D(6, 3, padding="causal", dilation_rate=2, activation="relu")(x)
        return layers.Conv1D(6, 1)(x)


class Dense(Network):
    input_shape = (4, 6)
    arguments = {"threshold": "exact", "refit": True}  # noqa: RUF012
    custom_ops = ["MLTQ_FULLY_CONNECTED"] * 3

    @staticmethod
    def body(layers, x):
        x = layers.Dense(16, activation="relu")(x)
        x = layers.Dense(12, activation="tanh")(x)  # on each of the 4 rows
        x = layers.Flatten()(x)
        x = layers.Dense(16, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        return layers.Dense(12, activation="sigmoid")(x)


class Binary(Network):
    input_shape = (8, 8, 2)
    arguments = {"kind": "binary", "include_first_layer": True, "include_last_layer": True}  # noqa: RUF012
    custom_ops = ["MLTQ_CONV_2D", "MLTQ_CONV_2D", "MLTQ_FULLY_CONNECTED"]  # noqa: RUF012

    @staticmethod
    def body(layers, x):
        x = layers.Conv2D(8, 3, activation="relu")(x)
        return layers.Conv2D(4, 3, activation="relu")(x)


NETWORKS = (Conv2D, DepthwiseConv2D, SeparableConv2D, Conv1D, Dense, Binary)
