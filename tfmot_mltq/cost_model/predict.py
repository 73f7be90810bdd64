"""Predicted instructions of a layer on a microcontroller."""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from tfmot_mltq.kernels import Call, PlaneCounts, kernel_of

# Written by tools/fit_cost_model.py from counted instructions.
COEFFICIENTS_PATH = pathlib.Path(__file__).with_name("coefficients.json")


@functools.cache
def _coefficients() -> dict[str, Any]:
    return json.loads(COEFFICIENTS_PATH.read_text())


def targets() -> list[str]:
    """Names of the targets that can be predicted."""
    return list(_coefficients())


def check_target(target: str) -> None:
    """Raises ValueError if there is no such target."""
    if target not in _coefficients():
        raise ValueError(f"target must be one of {targets()}, got {target!r}.")


def variant(target: str) -> str:
    """Which C code of the kernels a target has; one of ``kernels.kernel.VARIANTS``."""
    return _coefficients()[target]["variant"]


def instructions(call: Call, counts: PlaneCounts, target: str) -> float | None:
    """Instructions of a layer; None where it would run on the reference kernel.

    Args:
      call: Layer and sizes.
      counts: What its planes hold.
      target: One of ``targets()``.
    """
    model = _coefficients()[target]
    kernel = kernel_of(call, counts, model["variant"])
    work = kernel.work(call, counts, model["variant"])
    return None if work is None else work_cost(model["costs"][kernel.costs], work)


def scratch_bytes(call: Call, counts: PlaneCounts, target: str) -> int:
    """Scratch of a layer on a target."""
    kernel = kernel_of(call, counts, variant(target))
    found = kernel.scratch_bytes(call, counts, variant(target))
    assert found is not None
    return found


def int8_instructions(call: Call, target: str) -> float:
    """Instructions of the stock int8 kernel that users of the target would take instead: CMSIS-NN,
    or ESP-NN.
    """
    costs = _coefficients()[target]["int8_costs"][call.geometry.kind.name]
    return work_cost(costs, int8_work(call))


def int8_work(call: Call) -> dict[str, float]:
    """What an int8 layer costs depends on its shape alone."""
    outputs = call.positions * call.geometry.output_channels
    inputs = call.input_size[0] * call.input_size[1] * call.geometry.input_channels
    return {
        "macs": outputs * call.geometry.row_size,
        "outputs": outputs,
        "inputs": inputs,
        "columns": call.positions * call.geometry.row_size,
        "layers": 1,
    }


def work_cost(costs: Mapping[str, float], work: Mapping[str, float]) -> float:
    """Instructions of counted work, from what one of each kind costs; other kinds cost nothing."""
    return sum(cost * work[name] for name, cost in costs.items())
