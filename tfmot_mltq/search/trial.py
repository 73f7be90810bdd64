"""What one training run of the search gave, and what all of them gave together."""

from __future__ import annotations

import dataclasses
import pathlib

from tfmot_mltq.helpers.framework_types import Model
from tfmot_mltq.report.figures import Figures
from tfmot_mltq.report.plots import plot_trials, save_figure


@dataclasses.dataclass(frozen=True)
class Trial:
    """One training run.

    Attributes:
      sparsity: The sparsity that was asked for.
      accuracy: What ``evaluate_fn`` returned.
      within_tolerance: Whether that is good enough.
      seconds: Duration of training and evaluation.
      total: The totals of ``summary`` of a quantized model; of a float one {}.
    """

    sparsity: float
    accuracy: float
    within_tolerance: bool
    seconds: float
    total: Figures


@dataclasses.dataclass(frozen=True)
class SparsifyResult:
    """What ``sparsify`` returns.

    Attributes:
      model: The trained model of the best trial, uncompiled; the model that was given if no trial
        was within the tolerance.
      best: The trial with the highest sparsity within the tolerance; None if there is none.
      reference_accuracy: What the accuracy was compared with.
      max_accuracy_drop: The tolerance.
      trials: All trials by rising sparsity.
    """

    model: Model
    best: Trial | None
    reference_accuracy: float
    max_accuracy_drop: float
    trials: list[Trial]

    @property
    def pareto(self) -> list[Trial]:
        """The trials that no other beats in both sparsity and accuracy."""
        return [
            trial
            for index, trial in enumerate(self.trials)
            if all(later.accuracy < trial.accuracy for later in self.trials[index + 1 :])
        ]

    def to_dict(self) -> Figures:
        """All but the model, as plain data."""
        return {
            "reference_accuracy": self.reference_accuracy,
            "max_accuracy_drop": self.max_accuracy_drop,
            "best": None if self.best is None else dataclasses.asdict(self.best),
            "trials": [dataclasses.asdict(trial) for trial in self.trials],
            "pareto": [trial.sparsity for trial in self.pareto],
        }

    def plot(self, path: str | pathlib.Path) -> pathlib.Path:
        """Draws accuracy against density, with the Pareto curve and the tolerance.

        Args:
          path: File to write, .png, .svg or .pdf.

        Raises:
          ImportError: Matplotlib is missing.
        """
        return save_figure(plot_trials(self), path)
