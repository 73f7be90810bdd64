"""Counts and sizes of a quantized layer, from its planes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfmot_mltq.packing import packed_layer, plane_codec
from tfmot_mltq.packing.encodings import ways_to_store
from tfmot_mltq.packing.format import OperatorKind
from tfmot_mltq.report.figures import Figures
from tfmot_mltq.report.zero_activations import UsedActivations

# Each weight counts as often as it is used. The full text of the method's paper was not available;
# the definitions are inferred.
SPEEDUP_NOTE = (
    "Potential speed-ups are one-sided (weights only), against the multi-level binary network of "
    "the same shape. The definitions are inferred from the method's abstract: bit level "
    "M*N / sum nb(w), word level M*N / #(w != 0)."
)
TWO_SIDED_NOTE = (
    "Two-sided ones are measured on the given data: bit level M*N / sum nb(w) nb(a), word level "
    "M*N / #(w != 0 and a != 0); an int8 activation is one bit, or none where it is zero. With K "
    "levels of activations the numerators are M*K*N."
)


@dataclasses.dataclass(frozen=True)
class LayerStatistics:
    """Counts of one layer.

    Attributes:
      name: Layer name.
      layer_class: Keras class of the layer.
      kind: "ternary" or "binary".
      levels: Planes M.
      weights: Entries of the kernel.
      nonzero_bits: Non-zero entries of all planes.
      nonzero_words: Weights with at least one non-zero bit.
      level_densities: Fraction of non-zero bits, per level.
      positions: How often each weight is used for one sample (output positions, over all calls).
      flash_bytes: Packed layer: header, channel tables and planes, in the smallest encodings.
      entropy_bytes: Entropy bound of the planes.
      int8_bytes: Bytes of the stock int8 weights and biases.
      activation_levels: Levels K of the input; 0 if it is int8.
      used: What data met, for the two-sided figures; None without data.
    """

    name: str
    layer_class: str
    kind: str
    levels: int
    weights: int
    nonzero_bits: int
    nonzero_words: int
    level_densities: tuple[float, ...]
    positions: int
    flash_bytes: int
    entropy_bytes: float
    int8_bytes: int
    activation_levels: int = 0
    used: UsedActivations | None = None

    @property
    def macs(self) -> int:
        """Multiply-accumulates N of the layer for one sample."""
        return self.weights * self.positions

    @property
    def word_cost(self) -> int:
        """Units of work at word level, for one position. A ternary word is one, and none if it is
        zero; a binary network cannot skip, and does the M units per weight of the baseline.
        """
        return self.levels * self.weights if self.kind == "binary" else self.nonzero_words


def layer_statistics(
    name: str,
    layer_class: str,
    kind: str,
    operator: OperatorKind,
    planes: np.ndarray,
    positions: int,
    used: UsedActivations | None = None,
    activation_levels: int = 0,
) -> LayerStatistics:
    """Counts of a layer.

    Args:
      name: Layer name.
      layer_class: Keras class of the layer.
      kind: "ternary" or "binary".
      operator: Operator that runs it.
      planes: Shape (levels, output_channels, row_size).
      positions: How often each weight is used for one sample.
      used: What data met; None without data.
      activation_levels: Levels K of the input; 0 if it is int8.
    """
    encodings = plane_codec.best_encodings(planes, ways_to_store(operator, activation_levels))
    return LayerStatistics(
        name=name,
        layer_class=layer_class,
        kind=kind,
        levels=planes.shape[0],
        weights=planes[0].size,
        nonzero_bits=int(np.count_nonzero(planes)),
        nonzero_words=int(np.count_nonzero(np.any(planes != 0, axis=0))),
        level_densities=tuple(float(np.mean(plane != 0)) for plane in planes),
        positions=positions,
        flash_bytes=packed_layer.packed_bytes(planes, encodings, int(activation_levels > 0)),
        activation_levels=activation_levels,
        entropy_bytes=plane_codec.entropy_bytes(planes),
        int8_bytes=planes[0].size + 4 * planes.shape[1],
        used=used,
    )


def layer_dict(layer: LayerStatistics) -> Figures:
    """A layer as plain data: its counts and the ratios that follow from them."""
    return {
        **dataclasses.asdict(layer),
        "level_densities": list(layer.level_densities),
        "macs": layer.macs,
        **_ratios([layer]),
    }


def total_dict(layers: Sequence[LayerStatistics]) -> Figures:
    """Sums over layers and the ratios that follow from them."""
    names = (
        "weights",
        "nonzero_bits",
        "nonzero_words",
        "flash_bytes",
        "entropy_bytes",
        "int8_bytes",
    )
    sums = {name: sum(getattr(layer, name) for layer in layers) for name in (*names, "macs")}
    return {**sums, **_ratios(layers)}


def _ratios(layers: Sequence[LayerStatistics]) -> dict[str, float | None]:
    """Densities over stored bits and words; speed-ups over used ones. None where nothing is left
    to compute.
    """
    bits = sum(layer.levels * layer.weights for layer in layers)
    words = sum(layer.weights for layer in layers)
    work = sum(layer.levels * layer.macs for layer in layers)
    bit_work = sum(layer.nonzero_bits * layer.positions for layer in layers)
    word_work = sum(layer.word_cost * layer.positions for layer in layers)
    return {
        "bit_density": sum(layer.nonzero_bits for layer in layers) / bits if bits else None,
        "word_density": sum(layer.nonzero_words for layer in layers) / words if words else None,
        "potential_speedup_bit": work / bit_work if bit_work else None,
        "potential_speedup_word": work / word_work if word_work else None,
        **_two_sided_ratios(layers),
    }


def _two_sided_ratios(layers: Sequence[LayerStatistics]) -> dict[str, float | None]:
    """Those of the measured layers; {} without data."""
    measured = [(layer, layer.used) for layer in layers if layer.used is not None]
    if not measured:
        return {}
    products = sum(used.products for _, used in measured)
    work = sum(layer.levels * used.products for layer, used in measured)
    # A multi-level binary network has no zeros on either side.
    bit_work, word_work = (
        sum(
            layer.levels * used.products if layer.kind == "binary" else getattr(used, counted)
            for layer, used in measured
        )
        for counted in ("bit_products", "word_products")
    )
    active = sum(used.active_products for _, used in measured)
    return {
        "activation_density": active / products if products else None,
        "potential_speedup_bit_two_sided": work / bit_work if bit_work else None,
        "potential_speedup_word_two_sided": work / word_work if word_work else None,
    }
