"""The results of finished runs: one line of JSON each."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

from pareto.training_run import TrainingRun, check_same
from tfmot_mltq.helpers.files import replaced_file


class Results:
    """The lines of a file.

    Args:
      path: The file; it need not exist.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path

    def read(self) -> list[dict[str, Any]]:
        """All lines."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        return [json.loads(line) for line in lines]

    def has(self, run: TrainingRun) -> bool:
        """Whether the run is finished.

        Raises:
          ValueError: Another run of the same name is.
        """
        for result in self.read():
            if result["run"]["name"] == run.name:
                check_same(dataclasses.asdict(run), result["run"], f"'{run.name}' in {self._path}")
                return True
        return False

    def add(self, run: TrainingRun, figures: dict[str, Any]) -> None:
        """Adds the line of a run. The file is replaced, so that no line is ever half written."""
        lines = [*self.read(), {"run": dataclasses.asdict(run), **figures}]
        with replaced_file(self._path) as path:
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
