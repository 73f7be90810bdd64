"""The state of a training run in one small file, from which it goes on exactly."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import zipfile
from typing import Any

import numpy as np

from pareto.training_run import TrainingRun, check_same
from tfmot_mltq.helpers.files import replaced_file

_HEADER = "header"
_MODEL = "model"


def save_checkpoint(
    path: pathlib.Path,
    run: TrainingRun,
    history: list[dict[str, float]],
    model: Any,
    optimizer: Any = None,
) -> None:
    """Writes the weights of a model, and the optimizer's while they are needed.

    Masks and steps of pruning and the ranges of activations are weights of the model.

    Args:
      path: File to replace, .npz.
      run: What is trained.
      history: One entry per epoch that is done.
      model: As it is after the last of them.
      optimizer: None after the last epoch.
    """
    header = {"run": dataclasses.asdict(run), "history": history}
    arrays = {_HEADER: np.frombuffer(json.dumps(header).encode(), np.uint8)}
    for key, variable in _variables(model, optimizer).items():
        arrays[key] = _compact(variable.numpy())
    with replaced_file(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def load_checkpoint(
    path: pathlib.Path, run: TrainingRun, model: Any, optimizer: Any = None
) -> list[dict[str, float]]:
    """Restores a model and, if training is not over, its optimizer.

    Args:
      path: File that ``save_checkpoint`` wrote.
      run: What is trained.
      model: Its network; changed in place.
      optimizer: Its optimizer, built; None to read the weights only.

    Returns:
      The history: one entry per epoch that is done; empty if there is no file.

    Raises:
      ValueError: The file is of another run or network, or damaged.
    """
    if not path.exists():
        return []
    try:
        with np.load(path) as file:
            arrays = dict(file)
        header = json.loads(arrays.pop(_HEADER).tobytes())
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise ValueError(f"{path} is no checkpoint ({error}). Remove it to train anew.") from error
    check_same(dataclasses.asdict(run), header["run"], str(path))
    history = header["history"]
    is_over = len(history) >= run.epochs
    variables = _variables(model, None if is_over else optimizer)
    if optimizer is None:
        arrays = {key: value for key, value in arrays.items() if key.startswith(_MODEL)}
    found = {key: value.shape for key, value in arrays.items()}
    if found != {key: tuple(variable.shape) for key, variable in variables.items()}:
        raise ValueError(f"{path} holds another network than that of {run.name}.")
    for key, variable in variables.items():
        variable.assign(arrays[key].astype(variable.dtype))
    for layer in model.layers:
        if hasattr(layer, "refresh_pruning_started"):
            layer.refresh_pruning_started()
    return history


def _variables(model: Any, optimizer: Any) -> dict[str, Any]:
    """By place, as paths of variables count on within a process."""
    groups = {_MODEL: model.weights, "optimizer": optimizer.variables if optimizer else []}
    return {
        f"{group}_{index:03}": variable
        for group, variables in groups.items()
        for index, variable in enumerate(variables)
    }


def _compact(value: np.ndarray) -> np.ndarray:
    """Masks take a byte per bit before compression, not four; nothing is lost."""
    is_mask = value.size > 1 and np.all((value == 0) | (value == 1))
    return value.astype(np.uint8) if is_mask else value
