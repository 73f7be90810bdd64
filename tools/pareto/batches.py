"""Batches of one epoch: a pure function of the run and the epoch."""

from __future__ import annotations

import keras
import numpy as np

from pareto.image_data import ImageData
from pareto.teacher_answers import TeacherAnswers
from pareto.views import Views

_ORDER = 3


class EpochBatches(keras.utils.PyDataset):
    """Images in 0..255, and what the loss is to compare with: answers beside one-hot labels.

    Args:
      data: Images, labels, and which of them are for training.
      views: The augmented copies.
      answers: Of the teacher, to the same copies.
      epoch: Number of the epoch; it uses copy ``epoch % answers.copies``.
      batch_size: Images per step; what is left over at the end is left out.
      seed: Of the order.
    """

    def __init__(
        self,
        data: ImageData,
        views: Views,
        answers: TeacherAnswers,
        epoch: int,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__()
        self._views = views
        self._copy = epoch % answers.copies
        probabilities = answers.of_copy(self._copy)
        one_hot = np.eye(probabilities.shape[1], dtype=np.float32)[data.labels]
        self._targets = np.concatenate([probabilities, one_hot], 1)
        self._batch_size = batch_size
        order = np.random.default_rng([seed, _ORDER, epoch]).permutation(len(data.training))
        self._order = data.training[order]

    def __len__(self) -> int:
        return len(self._order) // self._batch_size

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        picked = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        return self._views.batch(self._copy, picked).astype(np.float32), self._targets[picked]
