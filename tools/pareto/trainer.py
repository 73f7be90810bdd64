"""Training that goes on exactly where it was stopped."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import tfmot_mltq as mltq
from pareto.batches import EpochBatches
from pareto.checkpoint import load_checkpoint, save_checkpoint
from pareto.distillation_loss import distillation_loss, label_accuracy
from pareto.training_run import TrainingRun

_WARM_UP = 0.1
_WEIGHT_DECAY = 5e-4
_MOMENTUM = 0.9
# Weights that do not decay: all but the kernels.
_NOT_DECAYED = ["bias", "gamma", "beta", "scales", "thresholds", "factors"]


def train(
    model: Any,
    run: TrainingRun,
    batches: Callable[[int], EpochBatches],
    evaluate: Callable[[Any], float],
    path: pathlib.Path,
    report: Callable[[str], None] = print,
) -> list[dict[str, float]]:
    """Trains a model from its checkpoint, or from its beginning if there is none, to the end.

    Args:
      model: The network of the run as ``networks.prepare`` gives it; trained in place.
      run: What is trained.
      batches: The batches of an epoch.
      evaluate: Validation accuracy of the model.
      path: The checkpoint, written after every epoch.
      report: Takes a line per epoch.

    Returns:
      One entry per epoch.
    """
    _compile(model, run, len(batches(0)))
    history = load_checkpoint(path, run, model, model.optimizer)
    callbacks = [mltq.UpdatePruningStep()] if run.speedup > 1 else []
    for epoch in range(len(history), run.epochs):
        start = time.monotonic()
        # Not shuffled: the order is that of the batches, whoever runs them.
        logs = model.fit(batches(epoch), shuffle=False, verbose=0, callbacks=callbacks).history
        seconds = time.monotonic() - start
        figures = {name: round(float(values[0]), 5) for name, values in logs.items()}
        figures |= {"validation_accuracy": evaluate(model), "seconds": round(seconds, 1)}
        history.append(figures)
        is_over = len(history) == run.epochs
        save_checkpoint(path, run, history, model, None if is_over else model.optimizer)
        values = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        report(f"{run.name}: epoch {len(history)} of {run.epochs}, {values}")
    return history


def accuracy(model: Any, images: np.ndarray, labels: np.ndarray) -> float:
    """Top-1 accuracy."""
    answers = model.predict(images.astype(np.float32), batch_size=500, verbose=0)
    return float(np.mean(np.argmax(answers, 1) == labels))


def _compile(model: Any, run: TrainingRun, steps_per_epoch: int) -> None:
    """SGD with Nesterov momentum; a cosine schedule after a linear warm-up."""
    steps = run.epochs * steps_per_epoch
    warm_up = max(1, int(_WARM_UP * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=run.learning_rate, warmup_steps=warm_up
    )
    optimizer = keras.optimizers.SGD(
        schedule, momentum=_MOMENTUM, nesterov=True, weight_decay=_WEIGHT_DECAY
    )
    optimizer.exclude_from_weight_decay(var_names=_NOT_DECAYED)
    loss = distillation_loss(run.teacher_weight, run.temperature)
    model.compile(optimizer, loss, metrics=[label_accuracy])
    # Its variables are to be there when a checkpoint is read.
    optimizer.build(model.trainable_variables)
