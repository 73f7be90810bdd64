"""Image files as arrays."""

from __future__ import annotations

import pathlib

import numpy as np
from PIL import Image


def load_image(
    path: pathlib.Path, height: int | None, width: int | None, channels: int
) -> np.ndarray:
    """An image in 0..255, shape (height, width, channels), resized where a size is given.

    Raises:
      OSError: The file is not an image.
    """
    with Image.open(path) as image:
        converted = image.convert("L" if channels == 1 else "RGB")
        size = (width or converted.width, height or converted.height)
        pixels = np.asarray(converted.resize(size, Image.Resampling.BILINEAR))
    return pixels.reshape(size[1], size[0], channels)
