"""Instruction counts: exact, so that a slower kernel fails here. They are no timings."""

import json

import device_benchmark
import pytest
from device_targets import DEVICE

ENTRIES = ["resnet8/m2/d0.10", "dscnn/m2/d0.10", "autoencoder/m2/d0.10"]


@pytest.fixture(scope="module", params=ENTRIES)
def entry(request):
    return device_benchmark.Entry(request.param)


@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m4", "cortex-m55", "rv32imc"])
def test_no_kernel_has_become_slower(target, entry, tmp_path):
    baseline = json.loads((DEVICE / "baseline.json").read_text())
    result = device_benchmark.measure(target, entry, tmp_path)
    measured = device_benchmark.totals_by_entry({target: {entry.name: result}})
    assert not device_benchmark.regressions(measured, baseline)
    assert result["totals"]["nonzero_bits"] == sum(
        layer["nonzero_bits"] for layer in result["layers"]
    )


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
