"""The runs of the benchmark, in the order in which they are trained."""

from __future__ import annotations

from pareto.training_run import TrainingRun

# Copies of the images that a teacher answers, and the seed of their augmentation.
COPIES = 12
VIEWS_SEED = 1

# Widths whose float networks come first: starting points, and the ends of the int8 curve.
_FIRST_WIDTHS = (1.0, 0.5, 0.25)
_OTHER_WIDTHS = (0.75, 0.375, 1.5, 2.0)
_SPEEDUPS = (15.0, 30.0, 6.0)
# Fine-tuning from trained weights needs smaller steps than training from random ones.
_FINE_TUNING_RATE = 0.02


def _float(width: float) -> TrainingRun:
    return TrainingRun(f"float_w{width:g}", width)


def _ours(width: float, levels: int, speedup: float) -> TrainingRun:
    return TrainingRun(
        f"m{levels}_w{width:g}_{speedup:g}x",
        width,
        levels,
        speedup,
        start=f"float_w{width:g}",
        learning_rate=_FINE_TUNING_RATE,
    )


def _float_for_longer(width: float) -> TrainingRun:
    """As many epochs in all as ours, which start from a trained network."""
    return TrainingRun(
        f"float_w{width:g}_longer",
        width,
        start=f"float_w{width:g}",
        learning_rate=_FINE_TUNING_RATE,
    )


RUNS = (
    *(_float(width) for width in _FIRST_WIDTHS),
    _ours(1.0, 2, 10.0),
    *(_ours(1.0, 2, speedup) for speedup in _SPEEDUPS),
    *(_float(width) for width in _OTHER_WIDTHS),
    *(_ours(width, 2, speedup) for width in (0.5, 1.5, 2.0) for speedup in (10.0, 15.0, 30.0)),
    *(_ours(1.0, levels, speedup) for levels in (1, 3) for speedup in (10.0, 15.0)),
    *(_float_for_longer(width) for width in sorted(_FIRST_WIDTHS + _OTHER_WIDTHS)),
)
