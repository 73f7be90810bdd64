"""Pruned models that are not as sparse as their schedules ask for."""

from __future__ import annotations

import warnings

from tfmot_mltq.helpers.framework_types import Model
from tfmot_mltq.layout.adapter import Adapter
from tfmot_mltq.layout.output_positions import output_positions
from tfmot_mltq.pruning.masks import current_sparsity, meets
from tfmot_mltq.pruning.pruned_layer import PrunedLayer, ranked_together

_MOST_NAMED = 8


def warn_of_missed_sparsity(model: Model, adapter: Adapter) -> None:
    """Warns, once for a model, of layers that have not the sparsity with which their schedule ends.

    Training may have stopped before, or gone back to the weights of an earlier epoch.

    Args:
      model: Quantized model, pruned or not.
      adapter: Of its framework.
    """
    layers = adapter.pruned_layers(model)
    if not layers:
        return
    positions = output_positions(adapter.graphs, model)
    missed = []
    for group in ranked_together(layers):
        kernels = [layer.prunable_kernel(positions) for layer in group]
        pruning = group[0].pruning
        if not meets(kernels, pruning, pruning.schedule.last_sparsity):
            missed.append(_figures(group, current_sparsity(kernels, pruning)))
    if missed:
        more = len(missed) - _MOST_NAMED
        text = "; ".join([*missed[:_MOST_NAMED], *([f"and {more} more"] if more > 0 else [])])
        warnings.warn(
            f"'{model.name}' is less sparse than its pruning schedule asks for: {text}. Train with "
            "mltq.UpdatePruningStep() to the end of the schedule, or end it earlier (end_step), "
            "and keep weights from after it: EarlyStopping(restore_best_weights=True), "
            "checkpoints and load_weights restore those of an earlier step.",
            stacklevel=3,
        )


def _figures(group: list[PrunedLayer], sparsity: float) -> str:
    """What layers that meet a sparsity together have, and what they should have."""
    first = group[0]
    schedule = first.pruning.schedule
    name = first.name if first.pruning.scope == "layer" else f"{len(group)} layers together"
    done = max(0, int(first.pruning_step.numpy()))
    end = max(schedule.begin_step, schedule.end_step)
    step = f" after {done} of {end} steps" if done < end else ""
    return (
        f"{name} has {sparsity:.4f} of {schedule.last_sparsity:.4f} "
        f"({first.pruning.granularity} level){step}"
    )
