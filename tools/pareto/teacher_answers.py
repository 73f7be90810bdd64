"""What a teacher answers on every augmented copy of the images, kept in a folder.

A forward pass of the teacher costs more than a training step of its student; made once, the
answers serve every run.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Callable

import numpy as np

from pareto.views import Views
from tfmot_mltq.helpers.files import replaced_file

_INDEX = "answers.json"
_BATCH = 500

Predict = Callable[[np.ndarray], np.ndarray]


class TeacherAnswers:
    """Softmax outputs in float16, one .npy file per copy.

    Args:
      folder: Made if it does not exist.
      views: The copies.
      copies: How many; an even number, as they come in pairs.
      identity: What else the answers depend on, such as ``fingerprint`` of the teacher's file.

    Raises:
      ValueError: The folder holds answers to something else.
    """

    def __init__(self, folder: pathlib.Path, views: Views, copies: int, identity: str) -> None:
        if copies < 2 or copies % 2:
            raise ValueError(f"copies must be an even number above 0, got {copies}.")
        self.copies = copies
        self._folder = folder
        self._views = views
        folder.mkdir(parents=True, exist_ok=True)
        self._check_index({"images": len(views), "identity": identity})

    def make(self, predict: Predict, report: Callable[[str], None] = print) -> None:
        """Asks for the copies that are missing.

        Args:
          predict: The teacher: probabilities for a batch of images in 0..255.
          report: Takes a line per copy.
        """
        for copy in self.missing():
            every = np.arange(len(self._views))
            parts = np.split(every, range(_BATCH, len(every), _BATCH))
            answers = [predict(self._views.batch(copy, part).astype(np.float32)) for part in parts]
            with replaced_file(self._path(copy)) as path:
                np.save(path, np.concatenate(answers).astype(np.float16))
            report(f"answers to copy {copy + 1} of {self.copies}")

    def missing(self) -> list[int]:
        """The copies that have no answers yet."""
        return [copy for copy in range(self.copies) if not self._path(copy).exists()]

    def of_copy(self, copy: int) -> np.ndarray:
        """Probabilities in float32 for all images of a copy.

        The mean over the copy and its mirror image: a better answer than either, and free.
        """
        both = [np.load(self._path(number)).astype(np.float32) for number in (copy, copy ^ 1)]
        mean = (both[0] + both[1]) / 2
        return mean / mean.sum(1, keepdims=True)

    def _path(self, copy: int) -> pathlib.Path:
        return self._folder / f"copy_{copy:03}.npy"

    def _check_index(self, identity: dict[str, object]) -> None:
        path = self._folder / _INDEX
        if not path.exists():
            with replaced_file(path) as temporary:
                temporary.write_text(json.dumps(identity, indent=2) + "\n")
        elif json.loads(path.read_text()) != identity:
            raise ValueError(
                f"{self._folder} holds the answers of another teacher, or to other images: "
                f"{path.read_text().strip()}, and not {json.dumps(identity)}. Choose another "
                "folder."
            )


def fingerprint(path: pathlib.Path) -> str:
    """A hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
