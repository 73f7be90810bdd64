"""prune_low_magnitude, for tf_keras and Keras 3 models alike."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tfmot_mltq.errors import UnsupportedModelError
from tfmot_mltq.helpers.framework_types import Layer, Model
from tfmot_mltq.layout.adapter import Adapter
from tfmot_mltq.layout.clone_layer import clone_layer
from tfmot_mltq.layout.frameworks import adapter_of, framework_of
from tfmot_mltq.layout.graph import ModelGraphs, check_weights, first_and_last
from tfmot_mltq.layout.layer_kinds import unsupported_reason
from tfmot_mltq.layout.output_positions import output_positions
from tfmot_mltq.layout.tflite_layers import split_weights, without_separable
from tfmot_mltq.layout.user_class import with_class_of
from tfmot_mltq.pruning.masks import current_sparsity, is_sparser
from tfmot_mltq.pruning.pruned_layer import ranked_together
from tfmot_mltq.pruning.pruning_spec import PruningSpec
from tfmot_mltq.pruning.schedule import ConstantSparsity, as_schedule

# Arguments of TFMOT's function that have no counterpart, and what to write instead.
_OF_TFMOT = {
    "block_pooling_type": "a block is ranked by the error that its removal causes; omit it",
    "pruning_policy": "choose layers with layers=[name, ...]",
    "sparsity_m_by_n": "prune blocks with block_size=(entries, output channels)",
}


def prune_low_magnitude(
    model: Model = None,
    pruning_schedule: Any = None,
    *,
    granularity: str = "bit",
    scope: str = "layer",
    criterion: str = "squared_error",
    block_size: tuple[int, int] | str = (1, 1),
    sparsity_of: str = "elements",
    layers: Collection[str] | None = None,
    to_prune: Model = None,
    **of_tfmot: Any,
) -> Model:
    """A model whose weights are pruned while it trains.

    Train the result with the callback ``UpdatePruningStep``. The sparsity is met to one element of
    each layer, or of the model with ``scope="global"``. Zeros are held by masks, which act on the
    weights and on their gradients: what was set to zero stays zero in further training, in saved
    models, in ``strip`` and in ``convert``, and may be pruned further. While the sparsity rises, a
    bit may still come back in place of one that has become less useful.

    Args:
      model: Built model of Keras 3 or tf_keras: float (words only), or quantized. It is not
        changed. ``quantize_model`` takes a pruned float model, and keeps its zeros.
      pruning_schedule: ``PolynomialDecay`` or ``ConstantSparsity`` of
        ``tensorflow_model_optimization.sparsity.keras``, or of this package, which does not
        need TensorFlow; by default half, at once, as in TFMOT. Sparsity counts all zeros, also
        those of the ternary levels as they are.
      granularity: "bit" prunes single bits of the levels, "word" whole weights.
      scope: "layer": each layer has the sparsity. "global": all of them together, ranked together.
      criterion: What is pruned first. "squared_error": what changes the weights least. A word w
        costs w^2. A bit costs the difference between the smallest squared errors that its weight
        has with it and without it, on whichever levels serve best; with one level of scale a that
        is a * (2|w| - a). "relative_error": the same as a share of what the layer sums up, the mean
        over its output channels, because batch normalisation removes the scale of a channel again.
        Either with "_per_work" at the end: divided by the number of output
        positions that use the weight, so that with ``scope="global"`` instructions are saved at the
        least error, rather than parameters.
      block_size: With words, (entries, output channels) of the blocks that are pruned as one: (1,
        4) for the same entry of four neighbouring output channels; an entry is a position in
        the flattened rest of the kernel. "channel" for whole output channels.
      sparsity_of: What the sparsity is a share of: "elements", or "work", where an element counts
        as often as it is used for a sample; the potential speed-up over the dense network then is 1
        / (1 - sparsity).
      layers: Names of the layers to prune. By default all layers with levels; of a float model all
        that ``quantize_model`` would give levels, without the first and the last.
      to_prune: TFMOT's name of ``model``.
      **of_tfmot: Other arguments of TFMOT's function, which are refused with what to write instead.

    Returns:
      A model of the same framework, and class as ``quantize_model`` says, with the weights of
      ``model``, nested models inlined and a SeparableConv2D as its two convolutions.

    Raises:
      TypeError: An argument is unknown or missing, or has no counterpart here.
      ValueError: An argument is out of its range, the schedule ends below the sparsity that a layer
        (or the model) already has, a block does not divide a layer, or a weight is not finite.
      UnsupportedModelError: The model is subclassed or not built, has nothing that can be pruned,
        or is multi-level binary, which cannot hold a zero.
    """
    model = _only_model(model, to_prune)
    for name in of_tfmot:
        if name not in _OF_TFMOT:
            raise TypeError(f"prune_low_magnitude() got an unexpected keyword argument '{name}'")
        raise TypeError(f"{name} is TFMOT's: here, {_OF_TFMOT[name]}.")
    if pruning_schedule is None:
        pruning_schedule = ConstantSparsity(0.5, begin_step=0)
    pruning = PruningSpec(
        as_schedule(pruning_schedule), granularity, scope, criterion, block_size, sparsity_of
    )
    adapter = adapter_of(model)
    return with_class_of(model, prune_model(model, adapter, pruning, layers), adapter.graphs)


def prune_model(
    model: Model, adapter: Adapter, pruning: PruningSpec, layers: Collection[str] | None
) -> Model:
    """The functional model of ``prune_low_magnitude``."""
    adapter.graphs.check_model(model)
    check_weights(model)
    flat = split_separable_layers(adapter.graphs, adapter.graphs.inline_nested_models(model))
    # What an earlier run set to zero does not come back in this one.
    for layer in adapter.pruned_layers(flat):
        layer.zero_pruned_words()
    chosen = _chosen_layers(flat, adapter, pruning, layers)
    result = adapter.prune(flat, dict.fromkeys(chosen, pruning))
    _check_schedule(result, adapter)
    return result


def _only_model(model: Model, to_prune: Model) -> Model:
    """The one model that was passed.

    Raises:
      TypeError: None or two were passed, or something else, as TFMOT allows.
    """
    if (model is None) == (to_prune is None):
        raise TypeError("prune_low_magnitude takes one model: prune_low_magnitude(model, schedule)")
    found = to_prune if model is None else model
    if isinstance(found, (list, tuple)) or (framework_of(found) and not hasattr(found, "layers")):
        raise TypeError(
            "prune_low_magnitude takes a whole model: build it from plain layers and name the "
            "ones to prune, prune_low_magnitude(model, schedule, layers=[name, ...])."
        )
    return found


def split_separable_layers(graphs: ModelGraphs, model: Model) -> Model:
    """A copy of a model with every SeparableConv2D as its two convolutions."""
    copies: list[tuple[Layer, list[Layer]]] = []

    def split(layer: Layer) -> list[Layer]:
        copies.append((layer, without_separable(clone_layer(layer), graphs.keras)))
        return copies[-1][1]

    result = graphs.rebuild(model, split)
    for layer, parts in copies:
        split_weights(layer, parts)
    return result


def _chosen_layers(
    flat: Model, adapter: Adapter, pruning: PruningSpec, layers: Collection[str] | None
) -> Collection[str]:
    """Names of the layers to prune."""
    if any(adapter.is_quantized(layer) for layer in flat.layers):
        possible = default = _ternary_layers(flat, adapter)
    else:
        possible, default = _float_layers(flat, adapter, pruning)
    unknown = sorted(set(layers or ()) - set(possible))
    if unknown:
        raise ValueError(
            f"layers names {', '.join(unknown)}, which cannot be pruned. Layers that can: "
            f"{', '.join(possible)}."
        )
    chosen = default if layers is None else layers
    if not chosen:
        raise UnsupportedModelError(
            f"'{flat.name}' has no layers to prune between its first and its last. Name some with "
            f"layers=[...]: {', '.join(possible) or 'it has none that can be pruned'}."
        )
    return chosen


def _ternary_layers(flat: Model, adapter: Adapter) -> list[str]:
    levels = [
        found for layer in flat.layers if (found := adapter.multi_level_layer(layer)) is not None
    ]
    ternary = [layer.name for layer in levels if layer.spec.kind == "ternary"]
    if levels and not ternary:
        raise UnsupportedModelError(
            f"'{flat.name}' is multi-level binary: a bit is -1 or +1 and cannot be pruned. "
            "Quantize with kind='ternary'."
        )
    if not ternary:
        raise UnsupportedModelError(
            f"'{flat.name}' has no layers with levels to prune; mltq.summary(model) says why."
        )
    return ternary


def _float_layers(
    flat: Model, adapter: Adapter, pruning: PruningSpec
) -> tuple[list[str], list[str]]:
    """The layers that can be pruned, and those between the first and the last of them."""
    if pruning.granularity == "bit":
        raise UnsupportedModelError(
            f"'{flat.name}' is a float model, which has no bits: prune "
            "mltq.quantize_model(model), or use granularity='word'."
        )
    names = [
        layer.name
        for layer in flat.layers
        if unsupported_reason(adapter.inner_layer(layer)) is None
    ]
    first, last = first_and_last(adapter.graphs.nodes_in_order(flat), set(names))
    return names, [name for name in names if name not in first | last]


def _check_schedule(pruned: Model, adapter: Adapter) -> None:
    """Refuses blocks that do not fit, and schedules that would add bits."""
    positions = output_positions(adapter.graphs, pruned)
    for group in ranked_together(adapter.pruned_layers(pruned)):
        pruning = group[0].pruning
        kernels = [layer.prunable_kernel(positions) for layer in group]
        end = pruning.schedule.last_sparsity
        if is_sparser(kernels, pruning, end):
            what = f"Layer '{group[0].name}'" if pruning.scope == "layer" else "The model"
            raise ValueError(
                f"{what} already has a sparsity of {current_sparsity(kernels, pruning):.4f} "
                f"({pruning.granularity} level), and the schedule ends at {end:.4f}. Pruning only "
                "adds zeros: choose a higher sparsity."
            )
