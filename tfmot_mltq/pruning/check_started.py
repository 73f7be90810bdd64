"""What layers check of pruning when they are called; imported with them, so it imports nothing."""

from __future__ import annotations


def check_started(is_started: bool, name: str) -> None:
    """Refuses to train a pruned layer that nothing prunes.

    Raises:
      ValueError: Says what to pass to ``fit``.
    """
    if not is_started:
        raise ValueError(
            f"Layer '{name}' has a pruning schedule, but nothing counts its steps. Compile "
            "the model again and train with fit(..., callbacks=[mltq.UpdatePruningStep()])."
        )
