"""The plots of reports and searches."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from tfmot_mltq.helpers.files import replaced_file
from tfmot_mltq.report.figures import Figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter
    from matplotlib.typing import HashableList

    from tfmot_mltq.search.trial import SparsifyResult


def new_figure(
    mosaic: list[HashableList[str]], size: tuple[float, float]
) -> tuple[Figure, dict[str, Axes]]:
    """A Matplotlib figure and its axes by name, as of ``subplot_mosaic``, without a display.

    Raises:
      ImportError: Matplotlib is missing; says what to install.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ImportError(
            "Plots need matplotlib: pip install 'tfmot-mltq[report]'", name=error.name
        ) from error
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplot_mosaic(mosaic)


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> pathlib.Path:
    """Writes a figure to a file; its suffix says in which format."""
    path = pathlib.Path(path)
    with replaced_file(path) as temporary:
        figure.savefig(temporary, dpi=150)
    return path


# Colours that people with any colour vision can tell apart (Okabe and Ito 2008).
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
_GREY = "#999999"


def plot_trials(result: SparsifyResult) -> Figure:
    """A figure of what ``sparsify`` tried."""
    figure, axes = new_figure([["trials"]], (6.4, 4.2))
    draw_trials(axes["trials"], result)
    return figure


def draw_trials(axis: Axes, result: SparsifyResult) -> None:
    """Accuracy against density: all trials, the Pareto curve, and the tolerance."""
    trials = result.trials
    densities = [1.0 - trial.sparsity for trial in trials]
    axis.axhline(result.reference_accuracy, color=_GREY, linewidth=1, label="reference")
    lowest = result.reference_accuracy - result.max_accuracy_drop
    axis.axhline(lowest, color=_GREY, linewidth=1, linestyle="--", label="tolerance")
    pareto = result.pareto
    axis.plot(
        [1.0 - trial.sparsity for trial in pareto],
        [trial.accuracy for trial in pareto],
        color=_COLOURS[0],
        label="Pareto curve",
    )
    colours = [_COLOURS[2] if trial.within_tolerance else _COLOURS[1] for trial in trials]
    axis.scatter(densities, [trial.accuracy for trial in trials], c=colours, zorder=3)
    if result.best is not None:
        best = (1.0 - result.best.sparsity, result.best.accuracy)
        axis.scatter(*best, s=140, facecolors="none", edgecolors=_COLOURS[2], label="chosen")
    axis.set_xscale("log", base=2)
    axis.invert_xaxis()
    axis.xaxis.set_major_formatter(_percent_formatter())
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlabel("density, 1 - sparsity (log scale)")
    axis.set_ylabel("accuracy")
    axis.set_title("Accuracy against density")
    axis.legend(frameon=False)


def model_figure(
    figures: Figures, scales: dict[str, np.ndarray], search: SparsifyResult | None = None
) -> Figure:
    """A figure of a quantized model: densities, scales, bytes, work, and a search if there is one.

    Args:
      figures: From ``summary``.
      scales: Scales of each layer, shape (levels, output channels).
      search: From ``sparsify``.
    """
    layers = figures["layers"]
    mosaic: list[HashableList[str]] = [["densities", "scales"], ["bytes", "work"]]
    if search is not None:
        mosaic.append(["trials", "trials"])
    figure, axes = new_figure(mosaic, (11, len(mosaic) * max(3.2, 1.6 + 0.3 * len(layers))))
    _draw_densities(axes["densities"], layers)
    _draw_scales(axes["scales"], layers, scales)
    _draw_bytes(axes["bytes"], layers)
    _draw_work(axes["work"], layers)
    if search is not None:
        draw_trials(axes["trials"], search)
    return figure


def _label_layers(axis: Axes, layers: list[Figures]) -> np.ndarray:
    places = np.arange(len(layers))
    axis.set_yticks(places, [layer["name"] for layer in layers], fontsize=8)
    axis.set_ylim(len(layers) - 0.4, -0.6)  # the first layer on top
    axis.spines[["top", "right"]].set_visible(False)
    return places


def _draw_densities(axis: Axes, layers: list[Figures]) -> None:
    places = _label_layers(axis, layers)
    most = max(layer["levels"] for layer in layers)
    width = 0.8 / most
    for level in range(most):
        bars = [
            layer["level_densities"][level] if level < layer["levels"] else 0.0 for layer in layers
        ]
        axis.barh(
            places + (level - (most - 1) / 2) * width,
            bars,
            height=0.9 * width,
            color=_COLOURS[level],
            label=f"bits of level {level + 1}",
        )
    words = [layer["word_density"] for layer in layers]
    axis.scatter(words, places, marker="|", s=130, color="black", zorder=3, label="words")
    axis.set_xlim(0, None)
    axis.xaxis.set_major_formatter(_percent_formatter())
    axis.set_title("Density: not zero")
    _legend_below(axis)


def _draw_scales(axis: Axes, layers: list[Figures], scales: dict[str, np.ndarray]) -> None:
    places = _label_layers(axis, layers)
    for level in range(max(layer["levels"] for layer in layers)):
        rows = [
            (place, scales[layer["name"]][level])
            for place, layer in zip(places, layers, strict=True)
            if level < layer["levels"]
        ]
        used = [(place, row[row > 0]) for place, row in rows if np.any(row > 0)]
        middle = np.array([np.median(row) for _, row in used])
        spread = [
            middle - [np.quantile(row, 0.1) for _, row in used],
            [np.quantile(row, 0.9) for _, row in used] - middle,
        ]
        axis.errorbar(
            middle,
            [place + 0.18 * (level - 1) for place, _ in used],
            xerr=np.array(spread),
            fmt="o",
            markersize=4,
            color=_COLOURS[level],
            label=f"level {level + 1}",
        )
    axis.set_xlim(0, None)
    axis.set_title("Scales: median over channels, bars from 10% to 90%")
    _legend_below(axis)


def _draw_bytes(axis: Axes, layers: list[Figures]) -> None:
    places = _label_layers(axis, layers)
    names = (("int8_bytes", "int8", _GREY), ("flash_bytes", "packed", _COLOURS[0]))
    for row, (key, label, colour) in enumerate(names):
        values = [layer[key] for layer in layers]
        axis.barh(places + 0.38 * row - 0.19, values, height=0.36, color=colour, label=label)
    bound = [layer["entropy_bytes"] for layer in layers]
    axis.scatter(
        bound, places + 0.19, marker="|", s=90, color="black", zorder=3, label="entropy bound"
    )
    axis.set_xscale("log")
    axis.set_title("Bytes in flash")
    _legend_below(axis)


def _draw_work(axis: Axes, layers: list[Figures]) -> None:
    places = _label_layers(axis, layers)
    dense = [layer["macs"] for layer in layers]
    left = [layer["nonzero_bits"] * layer["positions"] for layer in layers]
    axis.barh(places - 0.19, dense, height=0.36, color=_GREY, label="multiply-accumulates, int8")
    axis.barh(places + 0.19, left, height=0.36, color=_COLOURS[0], label="additions, non-zero bits")
    axis.set_xscale("log")
    axis.set_title("Work for one sample")
    _legend_below(axis)


def _legend_below(axis: Axes) -> None:
    axis.legend(fontsize=8, frameon=False, ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.12))


def _percent_formatter() -> FuncFormatter:
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: f"{100 * value:.3g}%")
