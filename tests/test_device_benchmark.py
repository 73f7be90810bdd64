"""Instruction counts: exact, so that a slower kernel fails here. They are no timings."""

import functools
import json

import device_benchmark
import numpy as np
import pytest
from device_benchmark import MLPERF_TINY, MODELS

import tfmot_mltq as mltq
from tfmot_mltq.cost_model import predict
from tfmot_mltq.emulation.targets import DEVICE

ENTRIES = [
    "resnet8/m2/d0.10",
    "dscnn/m2/d0.10",
    "autoencoder/m2/d0.10",
    "autoencoder/m2/d0.10/indices",
    "resnet8/m2/d0.10/k2",
    "resnet8/m2/d0.20/k1/bits",
    "rebnet/m1/d1.0/k1/binary",
]
TARGETS = ["cortex-m0", "cortex-m4", "cortex-m55", "rv32imc", "xtensa"]


@pytest.fixture(scope="module", params=ENTRIES)
def entry(request):
    return device_benchmark.synthetic_entry(request.param)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """For programs, which share the compiled core."""
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="module")
def measured(entry, folder):
    """Figures of an entry on a target, measured once."""
    return functools.cache(lambda target: device_benchmark.measure(target, entry, folder))


def predicted(target, entry):
    return [
        predict.instructions(call, counts, target)
        for call, counts in zip(entry.calls, entry.counts, strict=True)
    ]


def check_scratch(target, entry, result):
    for call, counts, figures in zip(entry.calls, entry.counts, result["layers"], strict=True):
        expected = predict.scratch_bytes(call, counts, target)
        assert figures["scratch_bytes"] == expected, figures["name"]


@pytest.mark.parametrize("target", TARGETS)
def test_no_kernel_has_become_slower(target, entry, measured):
    baseline = json.loads((DEVICE / "baseline.json").read_text())
    totals = device_benchmark.totals_by_entry({target: {entry.name: measured(target)}})
    assert not device_benchmark.regressions(totals, baseline)


@pytest.fixture(scope="module", params=list(MLPERF_TINY["models"]))
def whole(request):
    """An entry that is a whole network, with its configuration and its file."""
    name = f"{request.param}/m2/d0.10/whole"
    return name, *device_benchmark.whole_network(name)


@pytest.mark.parametrize("target", TARGETS)
def test_no_network_has_become_slower(target, whole):
    name, config, tflite = whole
    found = device_benchmark.measure_whole(target, config, tflite)
    assert set(found) == {
        "config", "operators", "instructions", "arena_bytes", "stack_bytes", "flash_bytes"
    }  # fmt: skip
    assert all(set(operator) == {"name", "op", "instructions"} for operator in found["operators"])
    baseline = json.loads((DEVICE / "baseline.json").read_text())
    totals = device_benchmark.totals_by_entry({target: {name: found}})
    assert not device_benchmark.regressions(totals, baseline)


@pytest.mark.parametrize("target", TARGETS)
def test_counts_are_predicted(target, entry, measured):
    count = measured(target)["totals"]["instructions"]
    assert sum(predicted(target, entry)) == pytest.approx(count, rel=0.15)
    check_scratch(target, entry, measured(target))


@pytest.mark.parametrize("target", TARGETS)
def test_a_network_that_was_not_fitted_is_predicted(target, folder, monkeypatch):
    """Shapes and densities that `make bench` does not have."""
    layers = [
        ("CONV_2D", [1, 40, 28, 4], [24, 5, 3, 4], [2, 1], "SAME", [1, 20, 28, 24]),
        ("DEPTHWISE_CONV_2D", [1, 20, 28, 24], [1, 3, 3, 24], [1, 1], "SAME", [1, 20, 28, 24]),
        ("CONV_2D", [1, 20, 28, 24], [40, 1, 1, 24], [1, 1], "SAME", [1, 20, 28, 40]),
        ("CONV_2D", [1, 20, 28, 40], [20, 3, 3, 40], [1, 1], "VALID", [1, 18, 26, 20]),
        ("FULLY_CONNECTED", [1, 300], [50, 300], None, None, [1, 50]),
    ]
    keys = ("op", "in_shape", "filter_shape", "stride", "padding", "out_shape")
    shapes = [
        dict(zip(keys, layer, strict=True), name=f"layer {i}", macs=0)
        for i, layer in enumerate(layers)
    ]
    monkeypatch.setitem(MODELS, "unseen", {"layers": shapes})
    for name in (
        "unseen/m2/d0.15", "unseen/m3/d0.04", "unseen/m1/d0.3/k3",
        "unseen/m2/d0.4/k1/bits", "unseen/m1/d1.0/k2/binary",
    ):  # fmt: skip
        entry = device_benchmark.synthetic_entry(name)
        result = device_benchmark.measure(target, entry, folder)
        counts = [layer["instructions"] for layer in result["layers"]]
        assert sum(predicted(target, entry)) == pytest.approx(sum(counts), rel=0.15)
        check_scratch(target, entry, result)


@pytest.mark.parametrize("target", TARGETS)
def test_fully_connected_layers_that_were_not_fitted_are_predicted(target, tmp_path, monkeypatch):
    """Of the shapes of classifiers, and larger, with byte indices."""
    sizes = [(64, 10), (256, 2), (300, 50), (1000, 3)]
    shapes = [
        {
            "op": "FULLY_CONNECTED", "in_shape": [1, inputs], "filter_shape": [outputs, inputs],
            "stride": None, "padding": None, "out_shape": [1, outputs], "name": "dense", "macs": 0,
        }
        for inputs, outputs in sizes
    ]  # fmt: skip
    monkeypatch.setitem(MODELS, "dense", {"layers": shapes})
    for name in ("dense/m2/d0.15/indices", "dense/m3/d0.04/indices", "dense/m1/d0.5/k1/indices"):
        entry = device_benchmark.synthetic_entry(name)
        result = device_benchmark.measure(target, entry, tmp_path)
        counts = [layer["instructions"] for layer in result["layers"]]
        assert predicted(target, entry) == pytest.approx(counts, rel=0.15)
        check_scratch(target, entry, result)


def test_the_layers_of_a_model_are_measured(tmp_path):
    import tf_keras as keras

    layers = keras.layers
    model = keras.Sequential([
        keras.Input((9, 8, 3)),
        layers.Conv2D(8, 3, activation="relu", name="stem"),
        layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="dw"),
        layers.Conv2D(4, 3, strides=2, dilation_rate=1, name="conv"),
        layers.Reshape((6, 4)),
        layers.Dense(5, name="rows"),
        layers.Flatten(),
        layers.Dense(4, name="head"),
    ])  # fmt: skip
    q = mltq.quantize_model(model, kind="binary", activation_levels=2, include_last_layer=True)
    samples = np.random.default_rng(0).random((8, 9, 8, 3), dtype=np.float32)
    path = tmp_path / "small.tflite"
    path.write_bytes(mltq.convert(q, samples))
    entry = device_benchmark.model_entry(path)
    assert entry.name == "small"
    assert [s["name"] for s in entry.shapes] == [
        "quant_dw", "quant_conv", "quant_rows", "quant_head"
    ]  # fmt: skip
    assert [s["filter_shape"] for s in entry.shapes] == [
        [1, 3, 3, 16],
        [4, 3, 3, 16],
        [5, 4],
        [4, 30],
    ]
    assert [s["macs"] for s in entry.shapes] == [7 * 6 * 16 * 9, 3 * 2 * 4 * 144, 6 * 5 * 4, 4 * 30]
    result = device_benchmark.measure("cortex-m4", entry, tmp_path)
    check_scratch("cortex-m4", entry, result)
    assert all(layer["instructions"] > 0 for layer in result["layers"])


def test_a_model_without_our_layers_is_refused(tmp_path):
    path = tmp_path / "other.tflite"
    path.write_bytes(b"not a model")
    with pytest.raises(ValueError, match="identifier 'TFL3' is missing"):
        device_benchmark.model_entry(path)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_without_any_zero_the_reference_kernels_are_slower(levels):
    """The baseline holds counts of `make bench`, which the test above compares."""
    baseline = json.loads((DEVICE / "baseline.json").read_text())
    for target, competitor in MLPERF_TINY["competitors"].items():
        reference = competitor.get("tflm_reference_instructions")
        if reference is not None:
            dense = baseline[target][f"resnet8/m{levels}/d1.0"]
            assert dense < sum(reference["resnet8"]), target


def test_what_counts_as_a_regression():
    baseline = {"cortex-m4": {"a": 1000}}
    assert not device_benchmark.regressions({"cortex-m4": {"a": 1020}}, baseline)
    assert (
        "1,021 instructions, 1,000 before"
        in device_benchmark.regressions({"cortex-m4": {"a": 1021}}, baseline).pop()
    )
    assert (
        "not in the baseline"
        in device_benchmark.regressions({"cortex-m0": {"a": 1}}, baseline).pop()
    )
