"""Training a quantized model towards the outputs of its float model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfmot_mltq.errors import UnsupportedModelError
from tfmot_mltq.helpers.framework_types import Model, ModelBase, Tensor
from tfmot_mltq.layout.frameworks import adapter_of, framework_of
from tfmot_mltq.layout.user_class import warn_of_unused

_SMALLEST_PROBABILITY = 1e-7


def distill(
    student: Model,
    teacher: Model,
    temperature: float = 4.0,
    teacher_weight: float = 0.9,
    from_logits: bool = False,
) -> Model:
    """A model that trains ``student`` on the labels and on what ``teacher`` predicts.

    Knowledge distillation (Hinton et al. 2015): (1 - w) * loss + w * T^2 * KL(teacher || student),
    both softened by the temperature T. Compile and fit it like the student, with the same losses,
    metrics and callbacks; the weights it trains are those of ``student``.

    Args:
      student: Classifier to train, quantized, pruned or not. Steps and losses of a class of your
        own are not used, with a warning.
      teacher: Trained classifier of the same framework with outputs of the same shape, such as the
        float model that ``student`` was made from, or a larger one. It is not changed.
      temperature: T.
      teacher_weight: w, from 0 to 1.
      from_logits: Whether the outputs are logits, and not probabilities.

    Raises:
      ValueError: An argument is out of its range, or the outputs do not match.
      UnsupportedModelError: The models are of different frameworks.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}.")
    if not 0 <= teacher_weight <= 1:
        raise ValueError(f"teacher_weight must be from 0 to 1, got {teacher_weight}.")
    adapter = adapter_of(student)
    warn_of_unused(student, "mltq.distill")
    if framework_of(teacher) != framework_of(student):
        raise UnsupportedModelError(
            f"The student is a {framework_of(student)} model, the teacher is of "
            f"{framework_of(teacher) or type(teacher).__name__}. Their models do not mix."
        )
    if len(student.outputs) != 1 or len(teacher.outputs) != 1:
        raise ValueError("Only models with one output can be distilled.")
    shapes = [tuple(model.outputs[0].shape) for model in (student, teacher)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"The student gives outputs of shape {shapes[0]}, the teacher of {shapes[1]}."
        )
    return adapter.Distiller(student, teacher, temperature, teacher_weight, from_logits)


class DistillerMixin(ModelBase):
    """What the distillers of both frameworks share; stands before their Model class.

    Attributes:
      student: The model that is trained.
    """

    # Functions of the framework, as static methods.
    log: Callable[[Tensor], Tensor]
    softmax: Callable[[Tensor], Tensor]
    mean: Callable[[Tensor], Tensor]
    sum: Callable[..., Tensor]
    maximum: Callable[[Tensor, float], Tensor]
    stop_gradient: Callable[[Tensor], Tensor]

    def __init__(
        self,
        student: Model,
        teacher: Model,
        temperature: float,
        teacher_weight: float,
        from_logits: bool,
    ) -> None:
        super().__init__(name=f"distill_{student.name}")
        self.student = student
        # In a closure, as Keras would take an attribute for a part to train and save.
        self._teacher_outputs = lambda x: teacher(x, training=False)
        self._temperature = temperature
        self._teacher_weight = teacher_weight
        self._from_logits = from_logits

    def call(self, inputs: Tensor, training: bool | Tensor | None = None) -> Tensor:
        """What the student predicts."""
        return self.student(inputs, training=training)

    def compute_loss(
        self, x: Tensor = None, y: Tensor = None, y_pred: Tensor = None, *args: Any, **kwargs: Any
    ) -> Tensor:
        """Keras' hook: the compiled loss and that of distillation."""
        loss = super().compute_loss(x, y, y_pred, *args, **kwargs)
        teacher = self._softened(self.stop_gradient(self._teacher_outputs(x)))
        student = self._softened(y_pred)
        difference = self.log(teacher) - self.log(student)
        divergence = self.mean(self.sum(teacher * difference, axis=-1))
        weight = self._teacher_weight
        return (1.0 - weight) * loss + weight * self._temperature**2 * divergence

    def _softened(self, outputs: Tensor) -> Tensor:
        """Probabilities at the temperature, none of them zero."""
        if not self._from_logits:
            outputs = self.log(self.maximum(outputs, _SMALLEST_PROBABILITY))
        soft = self.softmax(outputs / self._temperature)
        return self.maximum(soft, _SMALLEST_PROBABILITY)
