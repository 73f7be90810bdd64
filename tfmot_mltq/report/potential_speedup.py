"""mltq.potential_speedup."""

from __future__ import annotations

from tfmot_mltq.helpers.framework_types import Dataset, Model
from tfmot_mltq.layout.frameworks import adapter_of
from tfmot_mltq.pruning.missed_sparsity import warn_of_missed_sparsity
from tfmot_mltq.quantize import check_quantized
from tfmot_mltq.report.figures import Figures
from tfmot_mltq.report.model_statistics import multi_level_layers
from tfmot_mltq.report.summary import model_figures


def potential_speedup(model: Model, dataset: Dataset = None) -> Figures:
    """How much less a quantized model computes than its multi-level binary form.

    With M levels, N multiply-accumulates, nb the non-zero bits of a weight or activation, and each
    weight counted as often as it is used: one-sided M*N / sum nb(w) and M*N / #(w != 0), two-sided
    M*N / sum nb(w) nb(a) and M*N / #(w != 0 and a != 0). The definitions are inferred from the
    abstract of the method's paper, whose full text was not available.

    Args:
      model: Model that ``quantize_model`` or ``quantize_apply`` returned, pruned or not.
      dataset: Samples to measure the two-sided figures on, in a form that ``convert`` takes.

    Returns:
      {"one_sided": {"bit": ..., "word": ...}, "two_sided": the same or None, "layers": {name: the
      same}, "note": ...}, ready for ``json.dumps``. A figure is None where nothing is left to
      compute.

    Raises:
      UnsupportedModelError: The model is not quantized.
      ValueError: The dataset does not fit the model.
      TypeError: The dataset has none of the forms.
    """
    adapter = adapter_of(model)
    check_quantized(model, adapter)
    warn_of_missed_sparsity(model, adapter)
    figures = model_figures(model, adapter, multi_level_layers(model, adapter), dataset)
    return {
        **_speedups(figures["total"]),
        "layers": {layer["name"]: _speedups(layer) for layer in figures["layers"]},
        "note": figures["note"],
    }


def _speedups(figures: Figures) -> Figures:
    def sided(suffix: str) -> dict[str, float | None]:
        return {level: figures[f"potential_speedup_{level}{suffix}"] for level in ("bit", "word")}

    is_measured = "potential_speedup_bit_two_sided" in figures
    return {
        "one_sided": sided(""),
        "two_sided": sided("_two_sided") if is_measured else None,
    }
