"""When masks change, and to which sparsity: TFMOT's schedules, evaluated without TensorFlow."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfmot_mltq.helpers.framework_types import Config


class PruningSchedule:
    """Base of the schedules: at which steps of training masks are updated, and to what sparsity.

    A step is the number of batches that are done. Masks are updated at ``begin_step``, every
    ``frequency`` steps from there, and at ``end_step``.
    """

    begin_step: int
    end_step: int
    frequency: int

    def sparsity(self, step: int) -> float:
        """The sparsity at a step at which masks are updated."""
        raise NotImplementedError

    @property
    def last_sparsity(self) -> float:
        """The sparsity with which the schedule ends."""
        raise NotImplementedError

    def updates(self, step: int) -> bool:
        """Whether masks are updated at a step."""
        begin, end = self.begin_step, self.end_step
        if step < begin or 0 <= end < step:
            return False
        return (step - begin) % self.frequency == 0 or step == end

    def get_config(self) -> Config:
        """Class name and arguments, in TFMOT's form."""
        values = vars(self).items()
        # NumPy scalars, as from np.ceil, do not go into JSON.
        config = {name: value.item() if hasattr(value, "item") else value for name, value in values}
        return {"class_name": type(self).__name__, "config": config}


@dataclasses.dataclass(frozen=True)
class ConstantSparsity(PruningSchedule):
    """The same sparsity throughout; arguments and meaning of TFMOT's class of this name.

    Attributes:
      target_sparsity: Share of the bits (or words) that is zero, from 0 to below 1.
      begin_step: First step at which masks are updated.
      end_step: Last one; -1 for no end.
      frequency: Steps between updates.

    Raises:
      ValueError: An argument is out of its range.
    """

    target_sparsity: float
    begin_step: int
    end_step: int = -1
    frequency: int = 100

    def __post_init__(self) -> None:
        _check_sparsity("target_sparsity", self.target_sparsity)
        _check_steps(self.begin_step, self.end_step, self.frequency, may_be_endless=True)

    @property
    def last_sparsity(self) -> float:
        """``target_sparsity``."""
        return self.target_sparsity

    def sparsity(self, step: int) -> float:
        """``target_sparsity``."""
        return self.target_sparsity


@dataclasses.dataclass(frozen=True)
class PolynomialDecay(PruningSchedule):
    """Sparsity that rises fast, then slower; arguments and meaning of TFMOT's class of this name.

    final + (initial - final) * (1 - (step - begin) / (end - begin)) ^ power (Zhu and Gupta 2017).

    Attributes:
      initial_sparsity: Sparsity at ``begin_step``, from 0 to below 1.
      final_sparsity: Sparsity at ``end_step``.
      begin_step: First step at which masks are updated.
      end_step: Last one.
      power: Exponent.
      frequency: Steps between updates.

    Raises:
      ValueError: An argument is out of its range.
    """

    initial_sparsity: float
    final_sparsity: float
    begin_step: int
    end_step: int
    power: float = 3
    frequency: int = 100

    def __post_init__(self) -> None:
        _check_sparsity("initial_sparsity", self.initial_sparsity)
        _check_sparsity("final_sparsity", self.final_sparsity)
        _check_steps(self.begin_step, self.end_step, self.frequency, may_be_endless=False)

    @property
    def last_sparsity(self) -> float:
        """``final_sparsity``."""
        return self.final_sparsity

    def sparsity(self, step: int) -> float:
        """The sparsity at a step."""
        if step >= self.end_step:
            return self.final_sparsity
        left = 1.0 - max(step - self.begin_step, 0) / (self.end_step - self.begin_step)
        change = self.initial_sparsity - self.final_sparsity
        return self.final_sparsity + change * left**self.power


_SCHEDULES: dict[str, type[ConstantSparsity] | type[PolynomialDecay]] = {
    cls.__name__: cls for cls in (ConstantSparsity, PolynomialDecay)
}


def as_schedule(value: Any) -> PruningSchedule:
    """A schedule, given as one of ours, as TFMOT's object, or as the configuration of either.

    Raises:
      ValueError: It is none of those.
    """
    if isinstance(value, PruningSchedule):
        return value
    config = value.get_config() if hasattr(value, "get_config") else value
    if not isinstance(config, dict) or config.get("class_name") not in _SCHEDULES:
        raise ValueError(
            f"pruning_schedule must be a {' or '.join(_SCHEDULES)} of "
            "tensorflow_model_optimization.sparsity.keras or of tfmot_mltq, got "
            f"{type(value).__name__}."
        )
    return _SCHEDULES[config["class_name"]](**config["config"])


def _check_sparsity(name: str, value: float) -> None:
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{name} must be from 0 to below 1, got {value}.")


def _check_steps(begin: int, end: int, frequency: int, may_be_endless: bool) -> None:
    if begin < 0:
        raise ValueError(f"begin_step must not be negative, got {begin}.")
    if end < begin and not (may_be_endless and end == -1):
        raise ValueError(f"end_step must not be before begin_step ({begin}), got {end}.")
    if frequency < 1:
        raise ValueError(f"frequency must be at least 1, got {frequency}.")
