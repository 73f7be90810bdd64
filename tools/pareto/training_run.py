"""One network to train, as plain data."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """One network and all that makes its training this one.

    Attributes:
      name: Of its files.
      width: Times that of ResNet-8.
      levels: Levels M of the weights; 0 for a float network.
      speedup: Potential speed-up at bit level that pruning ends with; 1 does not prune.
      start: Name of the finished float run whose weights training starts from; else random ones.
      learning_rate: Peak.
      epochs: The same for every network that is compared.
      batch_size: Images per step.
      teacher_weight: Weight of the teacher's answers in the loss; the labels have the rest.
      temperature: Of distillation.
      rise: Share of the training in which the sparsity rises.
      power: Power of the polynomial by which it does.
      seed: Of the first weights and of the order of images.
    """

    name: str
    width: float
    levels: int = 0
    speedup: float = 1.0
    start: str | None = None
    learning_rate: float = 0.2
    epochs: int = 60
    batch_size: int = 128
    teacher_weight: float = 0.9
    temperature: float = 1.0
    rise: float = 0.9
    power: float = 5.0
    seed: int = 1

    def __post_init__(self) -> None:
        if self.speedup > 1 and not self.levels:
            raise ValueError(f"{self.name}: a float network has no bits to prune.")


def check_same(settings: dict[str, object], other: dict[str, object], where: str) -> None:
    """Refuses what another run left.

    Args:
      settings: The fields of the run.
      other: Those that were found.
      where: The place, for the message.

    Raises:
      ValueError: Says in which fields they differ.
    """
    names = sorted(settings.keys() | other.keys())
    changed = [name for name in names if settings.get(name) != other.get(name)]
    if changed:
        raise ValueError(
            f"{where} is of a run that differs in {', '.join(changed)}. Give the changed run "
            "another name, or remove what the old one left."
        )
