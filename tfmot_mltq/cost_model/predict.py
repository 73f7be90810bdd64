"""Predicted instructions of a layer on a microcontroller."""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from tfmot_mltq.cost_model.kernel_plan import Call
from tfmot_mltq.cost_model.kernel_work import PlaneCounts, kernel_work

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


def kernel(target: str) -> str:
    """Which of the C kernels a target has: "portable", "dsp" or "helium"."""
    return _coefficients()[target]["kernel"]


# Costs of the bitwise kernel, whatever the operator.
BITWISE = "BITWISE"


def operator(call: Call, counts: PlaneCounts) -> str:
    """Whose costs a layer has."""
    return BITWISE if counts.bitwise else call.geometry.kind.name


def instructions(call: Call, levels: int, counts: PlaneCounts, target: str) -> float | None:
    """Instructions of a layer; None where it would run on the reference kernel.

    Args:
      call: Layer and sizes.
      levels: Planes M.
      counts: What its planes hold.
      target: One of ``targets()``.
    """
    model = _coefficients()[target]
    work = kernel_work(call, levels, counts, kernel(target))
    return None if work is None else work_cost(model["costs"][operator(call, counts)], work)


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
