"""mltq.write_report."""

from __future__ import annotations

import base64
import io
import json
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from tfmot_mltq.helpers.files import replaced_file
from tfmot_mltq.helpers.framework_types import Dataset, Model
from tfmot_mltq.layout.frameworks import adapter_of
from tfmot_mltq.layout.multi_level_layer import MultiLevelLayer
from tfmot_mltq.pruning.missed_sparsity import warn_of_missed_sparsity
from tfmot_mltq.quantize import check_quantized
from tfmot_mltq.report.figures import Figures
from tfmot_mltq.report.model_statistics import multi_level_layers
from tfmot_mltq.report.plots import model_figure, save_figure
from tfmot_mltq.report.summary import model_figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tfmot_mltq.search.trial import SparsifyResult

_SUFFIXES = (".html", ".png", ".svg", ".pdf", ".json")


def write_report(
    model: Model,
    path: str | pathlib.Path,
    dataset: Dataset = None,
    search: SparsifyResult | None = None,
) -> pathlib.Path:
    """Writes what a quantized model holds and costs as a page, a picture or data.

    Args:
      model: Model that ``quantize_model`` or ``quantize_apply`` returned, pruned or not.
      path: File to write. .html: tables and plots in one file; .png, .svg, .pdf: the plots; .json:
        what ``summary`` returns, and the trials of the search.
      dataset: Samples for the two-sided speed-ups, in a form that ``convert`` takes.
      search: What ``sparsify`` returned, to show its Pareto curve.

    Returns:
      The path.

    Raises:
      UnsupportedModelError: The model is not quantized.
      ValueError: The suffix of the path is none of these, or the dataset does not fit the model.
      ImportError: Matplotlib (or for .html Jinja2) is missing; says what to install.
    """
    path = pathlib.Path(path)
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"path must end in one of {', '.join(_SUFFIXES)}, got '{path.name}'.")
    adapter = adapter_of(model)
    check_quantized(model, adapter)
    warn_of_missed_sparsity(model, adapter)
    layers = multi_level_layers(model, adapter)
    figures = model_figures(model, adapter, layers, dataset)
    if path.suffix == ".json":
        data = {**figures, "search": None if search is None else search.to_dict()}
        _write(path, json.dumps(data, indent=2) + "\n")
        return path
    figure = model_figure(figures, _scales(layers), search)
    if path.suffix != ".html":
        return save_figure(figure, path)
    _write(path, _page(model.name, figures, figure, search))
    return path


def _scales(layers: dict[str, MultiLevelLayer]) -> dict[str, np.ndarray]:
    """Scales of each layer by name, shape (levels, output channels)."""
    return {name: layer.decompose()[1] for name, layer in layers.items()}


def _page(name: str, figures: Figures, figure: Figure, search: SparsifyResult | None) -> str:
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise ImportError(
            "Reports in HTML need jinja2: pip install 'tfmot-mltq[report]'", name=error.name
        ) from error
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tfmot_mltq.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        name=name,
        figures=figures,
        is_measured="activation_density" in figures["total"],
        picture=base64.b64encode(picture.getvalue()).decode(),
        search=search,
    )


def _write(path: pathlib.Path, text: str) -> None:
    with replaced_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
