"""Fits the cost model to the counts of `make bench`.

    python tools/fit_cost_model.py [--kernels=BYTE_INDICES]

Reads device.json, finds for every target and operator what each kind of work costs (least squares
of relative errors, no cost below zero), writes tfmot_mltq/cost_model/coefficients.json, and prints
how far off the predictions are: those of the fit, and those of layers that were left out of it.
The costs of targets and kernels that device.json has nothing of stay as they are.
"""

import json
import pathlib

import device_benchmark
import numpy as np
from absl import app, flags
from rich.console import Console
from rich.table import Table
from scipy.optimize import nnls

from tfmot_mltq.cost_model.predict import COEFFICIENTS_PATH, int8_work, work_cost
from tfmot_mltq.emulation.targets import TARGETS
from tfmot_mltq.helpers.files import replaced_file
from tfmot_mltq.kernels import kernel_of

FOLDS = 5

FLAGS = flags.FLAGS
flags.DEFINE_string("benchmark", "build/benchmarks/device.json", "Result of make bench.")
flags.DEFINE_list("kernels", [], "Names of the costs to fit; by default all.")


def fit(samples: list[tuple[dict, float]]) -> dict[str, float]:
    """What each kind of work costs, from (work, instructions) of layers."""
    names = list(samples[0][0])
    target = np.array([instructions for _, instructions in samples])
    work = np.array([[work[name] for name in names] for work, _ in samples]) / target[:, None]
    scale = work.max(0)
    scale[scale == 0] = 1.0
    costs = nnls(work / scale, np.ones(len(samples)))[0] / scale
    return {name: round(float(cost), 4) for name, cost in zip(names, costs, strict=True) if cost}


def relative_errors(costs: dict[str, float], samples: list) -> np.ndarray:
    """By how much predictions are off."""
    return np.array([work_cost(costs, work) / count - 1 for work, count in samples])


def left_out_errors(samples: list) -> np.ndarray:
    """Relative errors of the layers that are left out of a fit, one fold at a time."""
    order = np.random.default_rng(0).permutation(len(samples))
    errors = []
    for fold in range(FOLDS):
        inside = [samples[i] for i in order if i % FOLDS != fold]
        outside = [samples[i] for i in order if i % FOLDS == fold]
        errors.append(relative_errors(fit(inside), outside))
    return np.concatenate(errors)


def samples_of(results: dict, entries: dict, target: str) -> dict[str, list]:
    """Work and instructions of the layers of a target, by the name of the costs of their kernel."""
    samples: dict[str, list] = {}
    for name, result in results[target].items():
        entry = entries[name]
        for index, figures in enumerate(result["layers"]):
            call, counts = entry.calls[index], entry.counts[index]
            kernel = kernel_of(call, counts, TARGETS[target].variant)
            work = kernel.work(call, counts, TARGETS[target].variant)
            samples.setdefault(kernel.costs, []).append((work, figures["instructions"]))
    return samples


def int8_samples(target: str) -> dict[str, list]:
    """Work and instructions of the competitor's int8 kernels, by operator."""
    samples: dict[str, list] = {}
    for model, counts in device_benchmark.MLPERF_TINY["competitors"][target][
        "instructions"
    ].items():
        layers = device_benchmark.MLPERF_TINY["models"][model]["layers"]
        for shapes, instructions in zip(layers, counts, strict=True):
            call = device_benchmark.layer_call(shapes)
            samples.setdefault(shapes["op"], []).append((int8_work(call), instructions))
    return samples


def main(_):
    """Fits and writes."""
    results = json.loads(pathlib.Path(FLAGS.benchmark).read_text())
    names = {name for entries in results.values() for name in entries}
    entries = {name: device_benchmark.synthetic_entry(name) for name in names}
    table = Table(title="Relative error of predicted instructions: mean, largest")
    for column in ("target", "operator", "layers", "fit", "left out", "int8 fit"):
        table.add_column(column, justify="left" if column in ("target", "operator") else "right")

    def cell(errors: np.ndarray) -> str:
        return f"{np.mean(np.abs(errors)):.1%}, {np.max(np.abs(errors)):.1%}"

    model = json.loads(COEFFICIENTS_PATH.read_text())
    console = Console(width=100)
    for target in results:
        if target not in device_benchmark.MLPERF_TINY["competitors"]:
            console.print(f"{target} is left out: mlperf_tiny.json has no int8 kernels for it.")
            continue
        fitted = model.setdefault(target, {"costs": {}, "int8_costs": {}})
        fitted["variant"] = TARGETS[target].variant
        int8 = int8_samples(target)
        for name, samples in samples_of(results, entries, target).items():
            if FLAGS.kernels and name not in FLAGS.kernels:
                continue
            costs = fitted["costs"][name] = fit(samples)
            int8_errors = None
            if name in int8:
                int8_costs = fitted["int8_costs"][name] = fit(int8[name])
                int8_errors = relative_errors(int8_costs, int8[name])
            table.add_row(
                target, name, str(len(samples)), cell(relative_errors(costs, samples)),
                cell(left_out_errors(samples)), "" if int8_errors is None else cell(int8_errors),
            )  # fmt: skip
    console.print(table)
    with replaced_file(COEFFICIENTS_PATH) as temporary:
        temporary.write_text(json.dumps(model, indent=1) + "\n")


if __name__ == "__main__":
    app.run(main)
