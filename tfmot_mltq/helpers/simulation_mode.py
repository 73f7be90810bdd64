"""What the quantizers of a model do when it is called.

Training and inference simulate quantization. Calibration and conversion run the same model, and
differ only inside the quantizers, so the mode is a property of the call and not of the layers.
"""

from __future__ import annotations

import contextlib
import contextvars
import enum
from collections.abc import Iterator


class SimulationMode(enum.Enum):
    """SIMULATE: fake quantization. CALIBRATE: float activations, ranges are recorded. CONVERT:
    quantized weights and ranges become constants of the graph that the TFLite converter traces.
    """

    SIMULATE = enum.auto()
    CALIBRATE = enum.auto()
    CONVERT = enum.auto()


_mode: contextvars.ContextVar[SimulationMode] = contextvars.ContextVar(
    "mltq_simulation_mode", default=SimulationMode.SIMULATE
)


def current_mode() -> SimulationMode:
    """The mode of the call in progress."""
    return _mode.get()


@contextlib.contextmanager
def simulation_mode(mode: SimulationMode) -> Iterator[None]:
    """Calls inside the block run in ``mode``; a tf.function must be traced inside it."""
    token = _mode.set(mode)
    try:
        yield
    finally:
        _mode.reset(token)
