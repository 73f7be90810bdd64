"""CIFAR-10 with a fixed split: validation chooses, so that the test images stay unseen."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

_SPLIT_SEED = 10
_VALIDATION_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class ImageData:
    """The training images of a data set, split in two. The test images are not even read.

    Attributes:
      images: uint8, all images, those for validation too.
      labels: int64, one each.
      training: Indices of the images to train on.
      validation: Indices of the others.
    """

    images: np.ndarray
    labels: np.ndarray
    training: np.ndarray
    validation: np.ndarray


def split_images(images: np.ndarray, labels: np.ndarray) -> ImageData:
    """The split that all runs share."""
    count = len(images)
    order = np.random.default_rng(_SPLIT_SEED).permutation(count)
    validation, training = np.split(order, [round(_VALIDATION_SHARE * count)])
    return ImageData(
        images, labels.ravel().astype(np.int64), np.sort(training), np.sort(validation)
    )


def load_images(path: pathlib.Path) -> ImageData:
    """The data of an .npz file with the arrays x_train and y_train."""
    with np.load(path) as arrays:
        return split_images(arrays["x_train"], arrays["y_train"])
