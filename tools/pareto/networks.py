"""The network of a run, as it is before the first step."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from cifar10 import build_resnet8

import tfmot_mltq as mltq
from pareto.training_run import TrainingRun

_FIRST_SPARSITY = 0.3
_STEPS_BETWEEN_MASKS = 50


def float_network(run: TrainingRun) -> Any:
    """A float ResNet-8 with random weights."""
    keras.utils.set_random_seed(run.seed)
    return build_resnet8(run.width)


def prepare(model: Any, run: TrainingRun, steps: int, samples: np.ndarray) -> Any:
    """A float network as the run wants it: with levels, and to be pruned.

    Args:
      model: Float, with the weights that training starts from.
      run: What is trained.
      steps: Of the whole training.
      samples: Typical images, for the ranges of activations.
    """
    if not run.levels:
        return model
    q = mltq.quantize_model(model, run.levels)
    mltq.calibrate(q, samples.astype(np.float32))
    if run.speedup <= 1:
        return q
    schedule = mltq.PolynomialDecay(
        _FIRST_SPARSITY,
        1.0 - 1.0 / run.speedup,
        0,
        int(run.rise * steps),
        power=run.power,
        frequency=_STEPS_BETWEEN_MASKS,
    )
    return mltq.prune_low_magnitude(
        q,
        schedule,
        granularity="bit",
        scope="global",
        criterion="relative_error_per_work",
        sparsity_of="work",
    )
