"""Distillation from answers that were given beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

# Probabilities of zero have no logarithm.
_SMALLEST = 1e-7


def distillation_loss(teacher_weight: float, temperature: float) -> Callable[[Any, Any], Any]:
    """The loss of ``tfmot_mltq.distill``, with the teacher's answers beside the labels in y.

    (1 - w) * cross entropy with the labels + w * T^2 * KL(teacher || student), both softened by T.
    """

    def loss(y: Any, student: Any) -> Any:
        teacher, labels = ops.split(y, 2, axis=-1)
        log_student = ops.log(ops.maximum(student, _SMALLEST))
        log_teacher = ops.log(ops.maximum(teacher, _SMALLEST))
        hard = -ops.sum(labels * log_student, axis=-1)
        softened = ops.log_softmax(log_teacher / temperature)
        difference = softened - ops.log_softmax(log_student / temperature)
        soft = ops.sum(ops.exp(softened) * difference, axis=-1)
        return (1.0 - teacher_weight) * hard + teacher_weight * temperature**2 * soft

    return loss


def label_accuracy(y: Any, student: Any) -> Any:
    """Metric: how often the student's answer is the label."""
    labels = ops.split(y, 2, axis=-1)[1]
    return ops.cast(ops.equal(ops.argmax(labels, -1), ops.argmax(student, -1)), "float32")
