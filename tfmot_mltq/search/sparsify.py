"""sparsify: raises the sparsity until the loss of accuracy is no longer negligible."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import pathlib
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from rich.console import Console

from tfmot_mltq.helpers.framework_types import Logs, Model
from tfmot_mltq.layout.adapter import Adapter
from tfmot_mltq.layout.frameworks import adapter_of
from tfmot_mltq.layout.output_positions import output_positions
from tfmot_mltq.layout.user_class import with_class_of
from tfmot_mltq.pruning.masks import current_sparsity
from tfmot_mltq.pruning.missed_sparsity import warn_of_missed_sparsity
from tfmot_mltq.pruning.prune import prune_model
from tfmot_mltq.pruning.pruning_spec import PruningSpec
from tfmot_mltq.pruning.schedule import (
    ConstantSparsity,
    PolynomialDecay,
    PruningSchedule,
    as_schedule,
)
from tfmot_mltq.pruning.update_pruning_step import UpdatePruningStep
from tfmot_mltq.report.figures import Figures
from tfmot_mltq.report.model_statistics import multi_level_layers
from tfmot_mltq.report.summary import model_figures
from tfmot_mltq.search.highest_passing import highest_passing
from tfmot_mltq.search.trial import SparsifyResult, Trial
from tfmot_mltq.search.trial_store import TrialMemory, TrialStore, model_fingerprint

# Densities to try: each is this much of the one before; four steps halve it.
_STEP = 0.5**0.25
_SMALLEST_DENSITY = 1e-3
# The part of training in which sparsity rises by default, and how often masks are updated in it.
_RISING = 0.5
_UPDATES = 50


def sparsify(
    model: Model,
    train_fn: Callable[[Model, list[UpdatePruningStep]], object],
    evaluate_fn: Callable[[Model], float],
    max_accuracy_drop: float = 0.01,
    granularity: str = "bit",
    *,
    reference_accuracy: float | None = None,
    sparsities: Sequence[float] | None = None,
    pruning_schedule: Callable[[float], Any] | None = None,
    scope: str = "layer",
    criterion: str = "squared_error",
    block_size: tuple[int, int] | str = (1, 1),
    sparsity_of: str = "elements",
    layers: Collection[str] | None = None,
    directory: str | pathlib.Path | None = None,
    strategy: Any = None,
    console: Console | None = None,
) -> SparsifyResult:
    """The sparsest model whose accuracy is within a tolerance.

    Each trial prunes a copy of ``model`` to one sparsity while ``train_fn`` trains it. Sparsity
    rises in strides until a trial fails; bisection then finds the border, and the sparsity beyond
    the first failure is tried too, because accuracy is noisy.

    Args:
      model: Quantized model, or float model with ``granularity="word"``. It is not changed.
      train_fn: Called with a pruned model and a list of callbacks; compiles the model, and calls
        ``fit`` with these callbacks.
      evaluate_fn: Called with a trained model; returns its accuracy, higher is better.
      max_accuracy_drop: How much lower than the reference the accuracy may be.
      granularity: As of ``prune_low_magnitude``.
      reference_accuracy: Accuracy to compare with, such as that of the float model. By default that
        of ``model``.
      sparsities: The sparsities to choose from. By default densities that fall by a factor of two
        in four steps, from that of ``model`` to a thousandth.
      pruning_schedule: Gives the schedule for a final sparsity. By default PolynomialDecay over the
        first half of training, whose length ``fit`` then has to know.
      scope: As of ``prune_low_magnitude``.
      criterion: As of ``prune_low_magnitude``.
      block_size: As of ``prune_low_magnitude``.
      sparsity_of: As of ``prune_low_magnitude``.
      layers: As of ``prune_low_magnitude``.
      directory: Folder for the models of all trials and their index. A search that was stopped
        resumes from it, and loses at most the trial under way. None keeps nothing but the result.
      strategy: ``tf.distribute.Strategy`` under which models are built, trained and evaluated.
      console: Where progress is printed; standard output by default.

    Returns:
      The best model, all trials, and their Pareto curve.

    Raises:
      ValueError: An argument is out of its range, ``evaluate_fn`` returned no number, the directory
        holds another search, or ``fit`` does not know the length of training and there is no
        ``pruning_schedule``.
      UnsupportedModelError: As of ``prune_low_magnitude``.
    """
    if not max_accuracy_drop >= 0:
        raise ValueError(f"max_accuracy_drop must not be negative, got {max_accuracy_drop}.")
    pruning = {
        "granularity": granularity,
        "scope": scope,
        "criterion": criterion,
        "block_size": block_size,
        "sparsity_of": sparsity_of,
        "layers": None if layers is None else sorted(layers),
    }
    adapter = adapter_of(model)
    now = _sparsity_now(model, adapter, pruning)
    candidates = _candidates(now, sparsities)
    new_callback: Callable[[], UpdatePruningStep] = UpdatePruningStep
    if pruning_schedule is None:
        # What the layers of the result say: pruned before the first step.
        pruning_schedule = functools.partial(ConstantSparsity, begin_step=0, end_step=0)
        new_callback = functools.partial(_RaiseSparsity, now)
    trainer = _Trainer(
        model, adapter, train_fn, evaluate_fn, pruning, pruning_schedule, new_callback, strategy
    )
    if reference_accuracy is None:
        reference_accuracy = trainer.accuracy(model, "the model as it is")
    store: TrialStore | TrialMemory = TrialMemory()
    if directory is not None:
        search = {
            "model": model_fingerprint(model),
            "sparsities": candidates,
            "max_accuracy_drop": max_accuracy_drop,
            "reference_accuracy": reference_accuracy,
            **pruning,
        }
        store = TrialStore(directory, adapter.graphs, model, search)
    progress = _Progress(console or Console(), granularity, reference_accuracy)
    progress.start(len(candidates), max_accuracy_drop, store.trials)

    def passes(index: int) -> bool:
        done = {trial.sparsity: trial for trial in store.trials}
        trial = done.get(candidates[index])
        if trial is None:
            lowest = reference_accuracy - max_accuracy_drop
            trial, trained = trainer.run(candidates[index], lowest)
            store.add(trial, trained)
            progress.show(trial)
        return trial.within_tolerance

    border = highest_passing(len(candidates), passes)
    trials = sorted(store.trials, key=lambda trial: trial.sparsity)
    best = None
    if border is not None:
        best = next(trial for trial in trials if trial.sparsity == candidates[border])
    chosen = model if best is None else store.model(best)
    return SparsifyResult(chosen, best, reference_accuracy, max_accuracy_drop, trials)


def _pruned(model: Model, adapter: Adapter, schedule: Any, pruning: dict[str, Any]) -> Model:
    """A model pruned as the arguments of ``prune_low_magnitude`` say."""
    fields = {name: value for name, value in pruning.items() if name != "layers"}
    spec = PruningSpec(as_schedule(schedule), **fields)
    return with_class_of(
        model, prune_model(model, adapter, spec, pruning["layers"]), adapter.graphs
    )


def _sparsity_now(model: Model, adapter: Adapter, pruning: dict[str, Any]) -> float:
    """The sparsity of a model before the search; refuses what cannot be pruned."""
    almost_all = ConstantSparsity(1.0 - 1e-9, 0)
    copy = _pruned(model, adapter, almost_all, pruning)
    positions = output_positions(adapter.graphs, copy)
    layers = adapter.pruned_layers(copy)
    kernels = [layer.prunable_kernel(positions) for layer in layers]
    if pruning["scope"] == "global":
        return current_sparsity(kernels, layers[0].pruning)
    # The schedule must not end below the sparsity of any layer.
    return max(current_sparsity([kernel], layers[0].pruning) for kernel in kernels)


def _candidates(now: float, sparsities: Sequence[float] | None) -> list[float]:
    """The sparsities to choose from, rising."""
    if sparsities is None:
        steps = int(math.log(_SMALLEST_DENSITY / (1.0 - now)) / math.log(_STEP))
        return [1.0 - (1.0 - now) * _STEP**step for step in range(1, steps + 1)]
    wrong = [value for value in sparsities if not now < value < 1.0]
    if wrong or not sparsities:
        raise ValueError(
            f"sparsities must be above that of the model, {now:.4f}, and below 1, got "
            f"{wrong or 'none'}."
        )
    return sorted({float(value) for value in sparsities})


class _RaiseSparsity(UpdatePruningStep):
    """Raises the sparsity to what the layers say over the first part of training."""

    def __init__(self, initial_sparsity: float) -> None:
        super().__init__()
        self._initial = initial_sparsity
        self._steps = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Keras' hook."""
        super().on_train_begin(logs)
        if self._steps:
            return
        if not self.params or not self.params.get("steps"):
            raise ValueError(
                "The number of steps per epoch is unknown. Pass steps_per_epoch to fit, or "
                "sparsify(..., pruning_schedule=lambda sparsity: mltq.PolynomialDecay(...))."
            )
        self._steps = self.params["steps"] * self.params["epochs"]

    def schedule(self, pruning: PruningSpec) -> PruningSchedule:
        """The schedule of a layer."""
        end = max(1, int(_RISING * self._steps))
        return PolynomialDecay(
            self._initial,
            pruning.schedule.last_sparsity,
            begin_step=0,
            end_step=end,
            frequency=max(1, end // _UPDATES),
        )


@dataclasses.dataclass(frozen=True)
class _Trainer:
    """Runs trials; the fields are arguments of ``sparsify``, and what makes a trial's callback."""

    model: Model
    adapter: Adapter
    train_fn: Callable[[Model, list[UpdatePruningStep]], object]
    evaluate_fn: Callable[[Model], float]
    pruning: dict[str, Any]
    pruning_schedule: Callable[[float], Any]
    new_callback: Callable[[], UpdatePruningStep]
    strategy: Any

    def run(self, sparsity: float, lowest_accuracy: float) -> tuple[Trial, Model]:
        """Prunes, trains and evaluates."""
        start = time.monotonic()
        schedule = self.pruning_schedule(sparsity)
        with self._strategy_scope():
            trained = _pruned(self.model, self.adapter, schedule, self.pruning)
            self.train_fn(trained, [self.new_callback()])
        accuracy = self.accuracy(trained, f"the trial at sparsity {sparsity:.4f}")
        seconds = time.monotonic() - start
        is_good = accuracy >= lowest_accuracy
        total = _total(trained, self.adapter)
        return Trial(sparsity, accuracy, is_good, seconds, total), trained

    def accuracy(self, model: Model, what: str) -> float:
        """The accuracy of a model.

        Raises:
          ValueError: It is not a number.
        """
        with self._strategy_scope():
            value = self.evaluate_fn(model)
        try:
            accuracy = float(value)
        except (TypeError, ValueError):
            accuracy = math.nan
        if not math.isfinite(accuracy):
            raise ValueError(
                f"evaluate_fn returned {value!r} for {what}; it must return the accuracy as a "
                "number. Trials that are finished are kept."
            )
        return accuracy

    def _strategy_scope(self) -> contextlib.AbstractContextManager[object]:
        return contextlib.nullcontext() if self.strategy is None else self.strategy.scope()


def _total(trained: Model, adapter: Adapter) -> Figures:
    if not any(adapter.is_quantized(layer) for layer in trained.layers):
        return {}
    warn_of_missed_sparsity(trained, adapter)
    return model_figures(trained, adapter, multi_level_layers(trained, adapter))["total"]


@dataclasses.dataclass(frozen=True)
class _Progress:
    """Prints what the search does."""

    console: Console
    granularity: str
    reference_accuracy: float

    def start(self, count: int, max_accuracy_drop: float, trials: Sequence[Trial]) -> None:
        """Says what is searched for, and what is known already."""
        self.console.print(
            f"sparsify ({self.granularity} level): {count} sparsities, accuracy of at least "
            f"{self.reference_accuracy:.4f} - {max_accuracy_drop:.4f}"
        )
        for trial in trials:
            self.show(trial, " (found on disk)")

    def show(self, trial: Trial, remark: str = "") -> None:
        """One line for a trial."""
        verdict = "[green]good enough[/]" if trial.within_tolerance else "[red]too low[/]"
        gained = trial.total.get(f"potential_speedup_{self.granularity}")
        speedup = f", potential speed-up {gained:.1f}x" if gained else ""
        self.console.print(
            f"  sparsity {trial.sparsity:.4f}: accuracy {trial.accuracy:.4f} "
            f"({trial.accuracy - self.reference_accuracy:+.4f}) {verdict}{speedup}, "
            f"{trial.seconds:.0f} s{remark}"
        )
