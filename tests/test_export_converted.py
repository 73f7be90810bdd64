"""Models that TensorFlow converts, as exported C code: the bytes of TensorFlow Lite Micro."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from exported_library import ExportedLibrary

from tfmot_mltq.export.golden import random_inputs

layers = keras.layers


def u_net():
    inputs = keras.Input((8, 8, 2))
    down = layers.Conv2D(4, 3, strides=2, padding="same", activation="leaky_relu")(inputs)
    x = layers.Conv2D(6, 3, padding="same", activation="tanh")(down)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.Concatenate()(
        [x, layers.ZeroPadding2D(((2, 2), (1, 3)))(layers.MaxPooling2D()(inputs))]
    )
    x = layers.Conv2DTranspose(3, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Cropping2D(((1, 2), (3, 0)))(x)
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))


def squeeze_and_excite():
    inputs = keras.Input((8, 6, 3), batch_size=1)
    x = layers.Conv2D(8, 3, padding="same", activation="hard_swish")(inputs)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(2, 1, activation="relu6")(gate)
    gate = layers.Conv2D(8, 1, activation="sigmoid")(gate)
    x = layers.PReLU(shared_axes=(1, 2), alpha_initializer="uniform")(layers.Multiply()([x, gate]))
    x = layers.DepthwiseConv2D(3, dilation_rate=2)(x)
    return keras.Model(
        inputs, layers.Dense(4, activation="softmax")(layers.GlobalMaxPooling2D()(x))
    )


def series():
    inputs = keras.Input((20, 3), batch_size=1)
    x = layers.Conv1D(6, 5, padding="causal", activation="relu")(layers.Rescaling(0.5, 0.1)(inputs))
    x = layers.Subtract()(
        [layers.Conv1D(4, 3, strides=2)(x), layers.AveragePooling1D(3, 2)(layers.Dense(4)(x))]
    )
    x = layers.Maximum()(
        [x, layers.Permute((2, 1))(layers.Conv1D(9, 1)(layers.Permute((2, 1))(x)))]
    )
    return keras.Model(
        inputs, [layers.GlobalAveragePooling1D()(x), layers.Dense(2)(layers.Flatten()(x))]
    )


def siamese():
    inputs = [keras.Input((6,)), keras.Input((6,))]
    twin = keras.Sequential([layers.Dense(8, activation="relu6"), layers.Dense(4)])
    return keras.Model(inputs, layers.Minimum()([twin(x) for x in inputs]))


def convert(model, io):
    rng = np.random.default_rng(3)
    shapes = [(1, *x.shape[1:]) for x in model.inputs]
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.4, weight.shape))

    def samples():
        for _ in range(20):
            yield [rng.normal(0, 1, shape).astype(np.float32) for shape in shapes]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = io
    return converter.convert()


@pytest.mark.parametrize("io", [tf.int8, tf.float32], ids=["int8", "float"])
@pytest.mark.parametrize("build", [u_net, squeeze_and_excite, series, siamese])
def test_exported_code_gives_the_bytes_of_the_interpreter(build, io, tmp_path):
    keras.utils.set_random_seed(5)
    tflite = convert(build(), io)
    library = ExportedLibrary(tflite, tmp_path / "project")
    for seed in range(3):
        inputs = random_inputs(tflite, seed)
        pairs = zip(library.run(inputs), library.interpreter.invoke(*inputs), strict=True)
        for exported, expected in pairs:
            np.testing.assert_array_equal(exported, expected)
            assert len(np.unique(expected)) > 1
    assert library.project.arena_bytes <= library.interpreter.arena_bytes
