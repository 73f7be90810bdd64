"""The callback that prunes while a model trains."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping

from tfmot_mltq.distillation import DistillerMixin
from tfmot_mltq.helpers.framework_types import Config, Logs, Model
from tfmot_mltq.layout.frameworks import FRAMEWORKS, adapter_of
from tfmot_mltq.layout.output_positions import output_positions
from tfmot_mltq.pruning.masks import masks_for
from tfmot_mltq.pruning.pruned_layer import PrunedLayer, ranked_together
from tfmot_mltq.pruning.pruning_spec import PruningSpec
from tfmot_mltq.pruning.schedule import PruningSchedule


class UpdatePruningStep:
    """Keras callback that counts the steps of training and updates the masks by their schedules.

    For ``fit`` of tf_keras and Keras 3 on every backend: it is a callback of each that is loaded.
    It must be among the callbacks of every ``fit`` until the schedule has ended. In a training loop
    of your own call, as for TFMOT's callback, ``set_model(model)`` and ``on_train_begin()`` first,
    ``on_train_batch_begin(-1)`` before every batch and ``on_epoch_end(-1)`` after every epoch.

    The step is a weight of the layers, so training resumes where a saved model stopped.
    """

    # What tf_keras asks of a callback: its logs may be tensors.
    _supports_tf_logs = True

    def __new__(cls, *args: object, **kwargs: object) -> UpdatePruningStep:
        """An object of a class that is a callback of every Keras that is loaded."""
        loaded = tuple(name for name in FRAMEWORKS if hasattr(sys.modules.get(name), "callbacks"))
        own: type = cls  # mypy takes type[Self] for something that a cache cannot hash
        return super().__new__(_callback_class(own, loaded))

    def __init__(self) -> None:
        for name in FRAMEWORKS:
            if hasattr(sys.modules.get(name), "callbacks"):
                sys.modules[name].callbacks.Callback.__init__(self)
        self.params: Config | None = None
        self._model: Model = None
        self._layers: list[PrunedLayer] = []
        self._positions: Mapping[str, int] = {}
        self._step = 0
        self._batch = 0
        self._begun = 0

    @property
    def model(self) -> Model:
        """The model in training; unlike Keras' property, it does not fetch its state from JAX."""
        return self._model

    @model.setter
    def model(self, model: Model) -> None:
        self._model = model

    def set_params(self, params: Config) -> None:
        """Keras' hook."""
        self.params = params

    def set_model(self, model: Model) -> None:
        """Keras' hook."""
        self._model = model

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Finds the pruned layers, and resumes from their step.

        Raises:
          ValueError: No layer of the model is pruned.
        """
        # A model for distillation holds the one that is trained.
        model = self.model.student if isinstance(self.model, DistillerMixin) else self.model
        adapter = adapter_of(model)
        self._layers = adapter.pruned_layers(model)
        if not self._layers:
            raise ValueError(
                f"'{model.name}' has no pruned layers. Train what mltq.prune_low_magnitude(model, "
                "...) returns, or leave UpdatePruningStep out."
            )
        self._positions = output_positions(adapter.graphs, model)
        self._begun = 0
        self._step = max(0, *(int(layer.pruning_step.numpy()) for layer in self._layers))
        self._write_step()

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Updates the masks if the schedule says so."""
        self._count_begun()
        if self._step == 0:
            self._update_masks(range(1))
        self._batch, self._begun = batch, 1

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Notes how many batches ran at once, as by ``steps_per_execution``."""
        self._begun = max(1, batch - self._batch + 1)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Updates the masks if the schedule says so, and writes the step into the layers."""
        self._count_begun()
        self._synchronize()
        self._write_step()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Writes the zeros into float kernels, for those who read them, such as TFMOT's strip."""
        for layer in self._layers:
            if layer.spec is None:
                layer.zero_pruned_words()

    def _count_begun(self) -> None:
        done = range(self._step + 1, self._step + self._begun + 1)
        self._step += self._begun
        self._begun = 0
        self._update_masks(done)

    def _write_step(self) -> None:
        for layer in self._layers:
            layer.set_step(self._step)

    def _synchronize(self) -> None:
        """JAX keeps the weights elsewhere within an epoch."""
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()

    def schedule(self, pruning: PruningSpec) -> PruningSchedule:
        """The schedule of a layer."""
        return pruning.schedule

    def _update_masks(self, steps: range) -> None:
        """Updates the masks that are due at one of the steps, to the sparsity of the latest."""
        for group in ranked_together(self._layers):
            pruning = group[0].pruning
            schedule = self.schedule(pruning)
            due = [step for step in steps if schedule.updates(step)]
            if not due:
                continue
            self._synchronize()
            masks = masks_for(
                [layer.prunable_kernel(self._positions) for layer in group],
                pruning,
                schedule.sparsity(due[-1]),
            )
            if masks is not None:
                for layer, mask in zip(group, masks, strict=True):
                    layer.set_mask(mask)


@functools.cache
def _callback_class(cls: type, loaded: tuple[str, ...]) -> type:
    """A class derived from ``cls`` and from the callbacks of the frameworks."""
    callbacks = [sys.modules[name].callbacks.Callback for name in loaded]
    missing = tuple(base for base in callbacks if not issubclass(cls, base))
    if not missing:
        return cls
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (cls, *missing), names)
