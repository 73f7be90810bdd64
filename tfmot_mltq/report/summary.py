"""mltq.summary."""

from __future__ import annotations

import dataclasses

from rich import box
from rich.console import Console
from rich.table import Table

from tfmot_mltq.cost_model.choose_encodings import check_optimize
from tfmot_mltq.helpers.framework_types import Dataset, Model
from tfmot_mltq.layout.adapter import Adapter
from tfmot_mltq.layout.frameworks import adapter_of
from tfmot_mltq.layout.multi_level_layer import MultiLevelLayer
from tfmot_mltq.pruning.missed_sparsity import warn_of_missed_sparsity
from tfmot_mltq.quantize import check_quantized
from tfmot_mltq.report.device_prediction import add_predictions, predict_layers
from tfmot_mltq.report.figures import Figures
from tfmot_mltq.report.layer_statistics import (
    SPEEDUP_NOTE,
    TWO_SIDED_NOTE,
    layer_dict,
    total_dict,
)
from tfmot_mltq.report.model_statistics import (
    int8_layers,
    model_statistics,
    multi_level_layers,
)


def summary(
    model: Model,
    dataset: Dataset = None,
    *,
    target: str | None = None,
    optimize: str = "size",
    print_table: bool = True,
    console: Console | None = None,
) -> Figures:
    """Prints and returns what the quantized layers of a model hold and cost.

    Args:
      model: Model that ``quantize_model`` or ``quantize_apply`` returned.
      dataset: Samples to measure the two-sided speed-ups on, in a form that ``convert`` takes.
      target: Microcontroller to predict for, as in ``convert``; None predicts nothing.
      optimize: What ``convert`` will be told to choose the encodings for.
      print_table: False only returns the figures.
      console: Where to print; standard output by default.

    Returns:
      {"layers": [...], "total": {...}, "int8_layers": [...], "note": ...}, ready for
      ``json.dumps``. Per layer and in total: weights, non-zero bits and words, their densities, the
      potential speed-ups (one-sided, and with a dataset two-sided; bit and word level),
      multiply-accumulates per sample, and bytes: packed (``flash_bytes``), entropy bound of the
      planes, and stock int8. The layers that stay int8 are not counted; they are listed with the
      reason. With a target, "prediction" holds, per layer and in total: the bytes, the instructions
      for one sample, those of the stock int8 kernels there (CMSIS-NN, ESP-NN), and the scratch;
      None where a layer is too large for the optimised kernels.

    Raises:
      UnsupportedModelError: The model is not quantized.
      ValueError: The dataset does not fit the model, or there is no such target or choice.
      TypeError: The dataset has none of the forms.
    """
    if target is not None:
        check_optimize(optimize, target)
    adapter = adapter_of(model)
    check_quantized(model, adapter)
    warn_of_missed_sparsity(model, adapter)
    found = multi_level_layers(model, adapter)
    result = model_figures(model, adapter, found, dataset)
    if target is not None:
        predictions = predict_layers(model, adapter, found, optimize, target)
        result["prediction"] = {
            "target": target,
            "optimize": optimize,
            "layers": predictions,
            "total": add_predictions(list(predictions.values())),
        }
    if print_table:
        console = console or Console()
        console.print(_table(model.name, result))
        if target is not None:
            console.print(_prediction_table(result["prediction"]))
        if dataset is not None:
            console.print(_two_sided_table(result))
        if result["int8_layers"]:
            console.print(_int8_table(result["int8_layers"]))
        console.print(result["note"], style="dim")
    return result


def model_figures(
    model: Model, adapter: Adapter, found: dict[str, MultiLevelLayer], dataset: Dataset = None
) -> Figures:
    """What ``summary`` returns without a target.

    Args:
      model: Quantized model.
      adapter: Of its framework.
      found: Its multi-level layers by name.
      dataset: As of ``summary``.
    """
    layers = model_statistics(model, adapter, found, dataset)
    return {
        "layers": [layer_dict(layer) for layer in layers],
        "total": total_dict(layers),
        "int8_layers": [dataclasses.asdict(layer) for layer in int8_layers(model, adapter)],
        "note": SPEEDUP_NOTE if dataset is None else f"{SPEEDUP_NOTE} {TWO_SIDED_NOTE}",
    }


def _table(name: str, result: Figures) -> Table:
    table = Table(
        title=f"Multi-level layers of '{name}'", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("layer", overflow="fold")
    for heading in (
        "M",
        "weights",
        "non-0\nbits",
        "non-0\nwords",
        "bit\nspeed",
        "word\nspeed",
        "flash\nbytes",
        "entropy\nbytes",
        "int8\nbytes",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for figures in result["layers"]:
        table.add_row(figures["name"], str(figures["levels"]), *_cells(figures))
    table.add_section()
    table.add_row("total", "", *_cells(result["total"]), style="bold")
    return table


def _prediction_table(prediction: Figures) -> Table:
    table = Table(
        title=f"Predicted on {prediction['target']}, encodings for {prediction['optimize']}",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("layer", overflow="fold")
    for heading in (
        "instructions",
        "int8\ninstructions",
        "speed",
        "flash\nbytes",
        "scratch\nbytes",
    ):
        table.add_column(heading, justify="right", no_wrap=True)

    def cells(figures: Figures) -> list[str]:
        count, int8 = figures["instructions"], figures["int8_instructions"]
        return [
            _count(count),
            _count(int8),
            _times(int8 / count if count else None),
            _count(figures["flash_bytes"]),
            _count(figures["scratch_bytes"]),
        ]

    for name, figures in prediction["layers"].items():
        table.add_row(name, *cells(figures))
    table.add_section()
    table.add_row("total", *cells(prediction["total"]), style="bold")
    return table


def _int8_table(layers: list[Figures]) -> Table:
    table = Table(title="Layers that stay int8", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("layer", overflow="fold")
    table.add_column("class")
    table.add_column("weights", justify="right")
    table.add_column("because")
    for layer in layers:
        table.add_row(layer["name"], layer["layer_class"], f"{layer['weights']:,}", layer["reason"])
    return table


def _two_sided_table(result: Figures) -> Table:
    table = Table(title="Two-sided, on the given data", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("layer", overflow="fold")
    for heading in ("non-0\nactivations", "bit\nspeed", "word\nspeed"):
        table.add_column(heading, justify="right", no_wrap=True)

    def cells(figures: Figures) -> list[str]:
        return [
            _percent(figures["activation_density"]),
            _times(figures["potential_speedup_bit_two_sided"]),
            _times(figures["potential_speedup_word_two_sided"]),
        ]

    for figures in result["layers"]:
        table.add_row(figures["name"], *cells(figures))
    table.add_section()
    table.add_row("total", *cells(result["total"]), style="bold")
    return table


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


def _cells(figures: Figures) -> list[str]:
    return [
        f"{figures['weights']:,}",
        _percent(figures["bit_density"]),
        _percent(figures["word_density"]),
        _times(figures["potential_speedup_bit"]),
        _times(figures["potential_speedup_word"]),
        f"{figures['flash_bytes']:,}",
        f"{figures['entropy_bytes']:,.0f}",
        f"{figures['int8_bytes']:,}",
    ]
