import io
import json
import pathlib

import numpy as np
import pytest
import tf_keras as keras
from packed_layers import packed_sizes
from rich.console import Console

import tfmot_mltq as mltq
from tfmot_mltq.packing.format import OperatorKind
from tfmot_mltq.report.layer_statistics import layer_statistics, total_dict

SNAPSHOT = pathlib.Path(__file__).parent / "snapshots" / "summary.txt"


def test_speedups_are_as_defined(rng):
    """Section 1 of the design: each weight counted as often as it is used."""
    a = rng.choice([-1, 0, 1], (3, 4, 10)).astype(np.int8)
    b = rng.choice([-1, 0, 0, 0, 1], (3, 2, 50)).astype(np.int8)
    layers = [
        layer_statistics("a", "Conv2D", "ternary", OperatorKind.CONV_2D, a, 36),
        layer_statistics("b", "Dense", "ternary", OperatorKind.FULLY_CONNECTED, b, 1),
    ]
    total = total_dict(layers)
    macs = 36 * 40 + 100
    assert total["macs"] == macs
    bits = 36 * np.count_nonzero(a) + np.count_nonzero(b)
    words = 36 * np.count_nonzero(a.any(axis=0)) + np.count_nonzero(b.any(axis=0))
    assert total["potential_speedup_bit"] == pytest.approx(3 * macs / bits)
    assert total["potential_speedup_word"] == pytest.approx(3 * macs / words)
    assert total["bit_density"] == pytest.approx(
        (np.count_nonzero(a) + np.count_nonzero(b)) / (3 * 140)
    )


def test_multi_level_binary_scores_one(rng):
    planes = rng.choice([-1, 1], (3, 4, 10)).astype(np.int8)
    total = total_dict(
        [layer_statistics("a", "Dense", "binary", OperatorKind.FULLY_CONNECTED, planes, 1)]
    )
    assert total["potential_speedup_bit"] == total["potential_speedup_word"] == 1
    assert total["bit_density"] == total["word_density"] == 1


def test_nothing_left_to_compute_has_no_ratio():
    total = total_dict(
        [
            layer_statistics(
                "a",
                "Dense",
                "ternary",
                OperatorKind.FULLY_CONNECTED,
                np.zeros((2, 3, 5), np.int8),
                1,
            )
        ]
    )
    assert total["potential_speedup_bit"] is None
    assert total_dict([])["bit_density"] is None


@pytest.fixture(scope="module")
def q():
    inputs = keras.Input((8, 8, 3))
    shared = keras.layers.Conv2D(6, 3, padding="same", name="shared")
    x = shared(shared(keras.layers.Conv2D(6, 1, name="stem")(inputs)))
    x = keras.layers.DepthwiseConv2D(3, name="dw")(x)
    x = keras.layers.Dense(7, name="fc")(keras.layers.Flatten()(x))
    model = keras.Model(inputs, keras.layers.Dense(2, name="head")(x), name="example")
    generator = np.random.default_rng(0)
    model.set_weights([generator.standard_normal(w.shape) for w in model.get_weights()])
    return mltq.quantize_model(model, levels=2)


def test_the_table_is_as_recorded(q):
    """After a wanted change: delete the file, run the test twice, look at the difference."""
    output = io.StringIO()
    result = mltq.summary(q, console=Console(file=output, width=90))
    text = "\n".join(line.rstrip() for line in output.getvalue().splitlines()) + "\n"
    if not SNAPSHOT.exists():
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text(text)
        pytest.fail(f"{SNAPSHOT} was missing and has been written; run again.")
    assert text == SNAPSHOT.read_text()
    assert json.loads(json.dumps(result)) == result


def test_figures_of_a_model(q):
    result = mltq.summary(q, print_table=False)
    layers = {layer["name"]: layer for layer in result["layers"]}
    assert list(layers) == ["quant_shared", "quant_dw", "quant_fc"]
    assert layers["quant_shared"]["macs"] == 2 * 64 * 6 * 6 * 9
    assert layers["quant_dw"]["macs"] == 36 * 6 * 9
    assert layers["quant_fc"]["macs"] == 216 * 7
    planes, _ = mltq.ternary_weights(q.get_layer("quant_fc"))
    assert layers["quant_fc"]["nonzero_bits"] == np.count_nonzero(planes)
    assert layers["quant_fc"]["int8_bytes"] == 216 * 7 + 4 * 7
    assert result["total"]["flash_bytes"] == sum(layer["flash_bytes"] for layer in layers.values())
    assert "inferred" in result["note"]


def test_flash_bytes_are_those_of_the_converted_model(q):
    x = np.random.default_rng(0).random((10, 8, 8, 3), dtype=np.float32)
    sizes = packed_sizes(mltq.convert(q, x))
    for layer in mltq.summary(q, print_table=False)["layers"]:
        assert sizes[layer["name"]] == layer["flash_bytes"]


@pytest.mark.parametrize("optimize", ["size", "speed", "balanced"])
def test_predicted_bytes_are_those_of_the_converted_model(q, optimize):
    x = np.random.default_rng(0).random((10, 8, 8, 3), dtype=np.float32)
    choice = {"optimize": optimize, "target": "rv32imc"}
    sizes = packed_sizes(mltq.convert(q, x, **choice))
    prediction = mltq.summary(q, print_table=False, **choice)["prediction"]
    for name, layer in prediction["layers"].items():
        assert layer["flash_bytes"] == sizes[name]
    assert prediction["total"]["flash_bytes"] == sum(sizes.values())


def test_predictions_of_a_model(q):
    output = io.StringIO()
    result = mltq.summary(q, target="cortex-m4", console=Console(file=output, width=100))
    prediction = result["prediction"]
    assert json.loads(json.dumps(result)) == result
    assert "Predicted on cortex-m4" in output.getvalue()
    layers, total = prediction["layers"], prediction["total"]
    for name in ("instructions", "int8_instructions"):
        assert total[name] == sum(layer[name] for layer in layers.values())
        assert f"{total[name]:,}" in output.getvalue()
    assert total["scratch_bytes"] == max(layer["scratch_bytes"] for layer in layers.values())
    assert layers["quant_fc"]["scratch_bytes"] == 4 * 7
    # Called twice, on images of the same size.
    once = keras.Sequential([
        keras.Input((8, 8, 6)), keras.layers.Conv2D(6, 3, padding="same", name="shared"),
    ])  # fmt: skip
    once.set_weights(q.get_layer("quant_shared").get_weights()[:2])
    single = mltq.quantize_model(once, levels=2, include_first_layer=True, include_last_layer=True)
    alone = mltq.summary(single, target="cortex-m4", print_table=False)["prediction"]["total"]
    assert layers["quant_shared"]["int8_instructions"] == 2 * alone["int8_instructions"]


def test_an_unknown_target_is_refused(q):
    with pytest.raises(ValueError, match=r"target must be one of .*'arduino'"):
        mltq.summary(q, target="arduino")
