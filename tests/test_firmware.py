"""Whole networks on emulated cores, without an interpreter: the bytes of TensorFlow Lite Micro."""

import cifar10
import keras
import numpy as np
import pytest

import tfmot_mltq as mltq
from tfmot_mltq.cost_model.tflite_operators import read_operators
from tfmot_mltq.emulation.firmware import run_firmware
from tfmot_mltq.emulation.targets import DeviceError


def converted(model, shape, speedup):
    """A network with random weights, pruned."""
    q = mltq.quantize_model(model, levels=2)
    schedule = mltq.ConstantSparsity(1 - 1 / speedup, begin_step=0)
    p = mltq.prune_low_magnitude(q, schedule, granularity="bit")
    update = mltq.UpdatePruningStep()
    update.set_model(p)
    update.on_train_begin()
    update.on_train_batch_begin(-1)
    return mltq.convert(p, np.random.default_rng(0).random((32, *shape), dtype=np.float32))


@pytest.fixture(scope="module")
def digits_model():
    """The network of examples/digits.py, without batch normalisation."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
    y = layers.Conv2D(16, 3, padding="same")(x)
    x = layers.ReLU()(layers.add([x, y]))
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.SeparableConv2D(48, 3, padding="same", activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return converted(keras.Model(inputs, layers.Dense(10, activation="softmax")(x)), (8, 8, 1), 4)


@pytest.fixture(scope="module")
def resnet8_model():
    keras.utils.set_random_seed(1)
    return converted(cifar10.build_resnet8(), (32, 32, 3), 10)


@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m4", "rv32imc"])
def test_digits(target, digits_model):
    found = run_firmware(target, digits_model)
    assert found.arena_bytes < mltq.Interpreter(digits_model).arena_bytes
    assert found.arena_bytes < 16384  # the RAM of a small Cortex-M0
    assert 0 < found.stack_bytes < 4096
    operators = read_operators(digits_model)
    assert [(o.op, o.name) for o in found.operators] == [(o.op, o.name) for o in operators]
    # Between the operators there is nothing but the calls that count.
    counted = sum(operator.instructions for operator in found.operators)
    assert 0.99 * found.instructions < counted <= found.instructions
    layers = [o for o in found.operators if o.op != "RESHAPE"]
    assert all(operator.instructions > 100 for operator in layers)


@pytest.mark.parametrize("target", ["cortex-m4", "rv32imc"])
def test_resnet8(target, resnet8_model):
    found = run_firmware(target, resnet8_model)
    assert found.arena_bytes < mltq.Interpreter(resnet8_model).arena_bytes


def test_a_wrong_output_is_found(digits_model, monkeypatch):
    """The self-test can fail."""
    right = mltq.Interpreter.invoke
    monkeypatch.setattr(mltq.Interpreter, "invoke", lambda self, x: [right(self, x)[0] ^ 1])
    with pytest.raises(DeviceError, match="self-test: FAILED"):
        run_firmware("cortex-m4", digits_model)
