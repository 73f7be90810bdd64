"""The trials of a search on disk, so that a search that was stopped goes on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from tfmot_mltq.helpers.files import replaced_file
from tfmot_mltq.helpers.framework_types import Model
from tfmot_mltq.helpers.saved_config import CONFIG_VERSION
from tfmot_mltq.layout.graph import ModelGraphs
from tfmot_mltq.layout.user_class import with_class_of
from tfmot_mltq.search.trial import Trial

_INDEX = "trials.json"


class TrialMemory:
    """Trials of one search in memory, with the models that may yet be the result."""

    def __init__(self) -> None:
        self.trials: list[Trial] = []
        self._best: tuple[float, Model] = (-1.0, None)

    def add(self, trial: Trial, model: Model) -> None:
        """Keeps a trial, and the model if it is the sparsest that is good enough."""
        self.trials.append(trial)
        if trial.within_tolerance and trial.sparsity > self._best[0]:
            self._best = (trial.sparsity, model)

    def model(self, trial: Trial) -> Model:
        """The model of the sparsest trial that is good enough, which is what ``trial`` is."""
        assert trial.sparsity == self._best[0]
        return self._best[1]


class TrialStore:
    """Trials of one search in a folder: an index in JSON, and a .keras file per trial.

    Args:
      directory: Folder, made if it does not exist.
      graphs: Of the framework of the models.
      like: The model that is searched for a sparser form of; says which classes of users, which a
        file does not hold, the models and their layers are of.
      search: What makes the search this one, as plain data.

    Raises:
      ValueError: The folder holds another search, or its index cannot be read.
    """

    def __init__(
        self,
        directory: str | pathlib.Path,
        graphs: ModelGraphs,
        like: Model,
        search: Mapping[str, Any],
    ) -> None:
        self._folder = pathlib.Path(directory)
        self._graphs = graphs
        self._like = like
        self._search = json.loads(json.dumps({"version": CONFIG_VERSION, **search}))
        self._folder.mkdir(parents=True, exist_ok=True)
        self.trials = self._read()

    def add(self, trial: Trial, model: Model) -> None:
        """Writes the model of a trial, then the trial."""
        with replaced_file(self._model_path(trial)) as path:
            self._graphs.without_class(model).save(path)
        self.trials.append(trial)
        index = {
            "search": self._search,
            "trials": [dataclasses.asdict(trial) for trial in self.trials],
        }
        with replaced_file(self._folder / _INDEX) as path:
            path.write_text(json.dumps(index, indent=2) + "\n")

    def model(self, trial: Trial) -> Model:
        """The model of a trial, uncompiled."""
        load_model = self._graphs.keras.models.load_model
        with self._graphs.own_objects(self._like):
            loaded = load_model(self._model_path(trial), compile=False)
        return with_class_of(self._like, loaded, self._graphs)

    def _model_path(self, trial: Trial) -> pathlib.Path:
        return self._folder / f"sparsity_{trial.sparsity:.6f}.keras"

    def _read(self) -> list[Trial]:
        path = self._folder / _INDEX
        if not path.exists():
            return []
        try:
            index = json.loads(path.read_text())
            search = index["search"]
            trials = [Trial(**trial) for trial in index["trials"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is not the index of a search ({error}). Choose another directory."
            ) from error
        changed = [key for key, value in self._search.items() if search.get(key) != value]
        if changed:
            raise ValueError(
                f"{self._folder} holds a search that differs in {', '.join(changed)}. Choose "
                "another directory, or give the model and the arguments of that search."
            )
        missing = [trial for trial in trials if not self._model_path(trial).exists()]
        if missing:
            raise ValueError(
                f"{self._model_path(missing[0])} is missing, which {path} lists. Choose another "
                "directory."
            )
        return trials


def model_fingerprint(model: Model) -> str:
    """A hash of the layers and the weights of a model."""
    digest = hashlib.sha256()
    for layer, values in ((layer.name, layer.get_weights()) for layer in model.layers):
        digest.update(layer.encode())
        for value in values:
            digest.update(str(value.shape).encode() + value.tobytes())
    return digest.hexdigest()
