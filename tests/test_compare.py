"""mltq.compare and the operators of .tflite files."""

import io

import keras
import numpy as np
import pytest
from rich.console import Console

import tfmot_mltq as mltq
from tfmot_mltq.cost_model.tflite_operators import read_operators

X = np.random.default_rng(1).random((24, 7, 9, 3), dtype=np.float32)
Y = np.arange(24) % 4


def convert(levels):
    keras.utils.set_random_seed(3)
    layers = keras.layers
    inputs = keras.Input((7, 9, 3))
    shared = layers.Conv2D(6, 3, padding="same", activation="relu", name="shared")
    x = shared(shared(layers.Conv2D(6, 1, name="stem")(inputs)))
    x = layers.Dense(4, name="head")(layers.Flatten(name="flat")(x))
    return mltq.convert(mltq.quantize_model(keras.Model(inputs, x), levels), X)


@pytest.fixture(scope="module")
def models():
    return {"one": convert(1), "two": convert(2)}


def test_figures_are_those_of_the_models(models, tmp_path):
    (tmp_path / "two.tflite").write_bytes(models["two"])
    output = io.StringIO()
    rows = mltq.compare(
        {"one": models["one"], "two": tmp_path / "two.tflite"},
        X, Y, targets=["cortex-m0"], console=Console(file=output, width=150),
    )  # fmt: skip
    outputs = [mltq.Interpreter(models[name]).predict(X) for name in ("one", "two")]
    classes = [values.argmax(1) for values in outputs]
    for row, values, (name, tflite) in zip(rows, outputs, models.items(), strict=True):
        assert row["model"] == name
        assert row["bytes"] == len(tflite)
        assert row["arena_bytes"] == mltq.Interpreter(tflite).arena_bytes
        assert row["accuracy"] == np.mean(values.argmax(1) == Y)
        predicted = [operator.instructions("cortex-m0") for operator in read_operators(tflite)]
        assert row["instructions"] == {"cortex-m0": sum(count for count in predicted if count)}
    assert rows[0]["same_class"] == 1
    assert rows[0]["largest_difference"] == 0
    assert rows[1]["same_class"] == np.mean(classes[0] == classes[1])
    assert rows[1]["largest_difference"] == np.abs(outputs[1] - outputs[0]).max() > 0
    table = output.getvalue()
    for value in (f"{len(models['two']):,}", f"{rows[1]['instructions']['cortex-m0'] / 1e6:.3g}"):
        assert value in table


def test_without_labels_on_litert(models):
    (row,) = mltq.compare(models | {"two": models["one"]}, X, runtime="litert", print_table=False)[
        1:
    ]
    assert (row["accuracy"], row["arena_bytes"], row["same_class"]) == (None, None, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"models": {}}, "no models"),
        ({"y": Y[1:]}, "23 labels for 24 samples"),
        ({"x": X[:0], "y": Y[:0]}, "no samples"),
        ({"targets": ["z80"]}, "target must be one of"),
        ({"x": X[..., :2]}, "shape"),
    ],
)
def test_what_cannot_be_compared_is_said(models, arguments, message):
    with pytest.raises(ValueError, match=message):
        mltq.compare(**{"models": models, "x": X, "y": Y, "print_table": False} | arguments)


def test_both_calls_of_a_shared_layer_have_its_name(models):
    assert [operator.name for operator in read_operators(models["two"])[1:3]] == ["shared"] * 2
