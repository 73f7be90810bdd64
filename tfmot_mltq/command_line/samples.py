"""Samples and labels from files, as the flags of the commands name them."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np
from absl import flags

from tfmot_mltq.layout.frameworks import import_with_extra

_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")


def define_sample_flags(values: flags.FlagValues, data_help: str) -> None:
    """The flags that say where samples are and how they are scaled."""
    flags.DEFINE_string("data", None, data_help, flag_values=values)
    flags.DEFINE_string("data_key", None, "Which array of an .npz file.", flag_values=values)
    flags.DEFINE_float("scale", 1.0, "Factor that samples are multiplied by.", flag_values=values)
    flags.DEFINE_float("offset", 0.0, "Offset added to the scaled samples.", flag_values=values)


def load_samples(values: flags.FlagValues, shape: Sequence[int | None]) -> np.ndarray:
    """Scaled float32 samples, the batch first, for an input of ``shape``, the batch first too.

    Raises:
      ValueError: The file has no such array, the folder no image, or the shape does not fit.
      OSError: There is no such file.
      ImportError: Images need Pillow.
    """
    path = pathlib.Path(values.data)
    samples = _load_images(path, shape) if path.is_dir() else load_array(path, values.data_key)
    wanted = shape[1:]
    if samples.ndim == len(shape) - 1 and samples.ndim > 0 and wanted and wanted[-1] == 1:
        samples = samples[..., None]  # grey images are often stored without their channel
    fits = samples.ndim == len(shape) and all(
        size in (None, given) for size, given in zip(wanted, samples.shape[1:], strict=True)
    )
    if not fits:
        raise ValueError(
            f"{path} has samples of shape {samples.shape[1:]}; the model takes {tuple(wanted)}."
        )
    return samples.astype(np.float32) * np.float32(values.scale) + np.float32(values.offset)


def load_array(path: pathlib.Path, key: str | None) -> np.ndarray:
    """An array of an .npz or .npy file.

    Raises:
      ValueError: There is no such array, or several and no key.
      OSError: There is no such file.
    """
    loaded = np.load(path)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        names = sorted(loaded.files)
        if key is None and len(names) == 1:
            key = names[0]
        if key is None:
            raise ValueError(f"{path} has several arrays; choose one of {names} with a _key flag.")
        if key not in names:
            raise ValueError(f"{path} has no array '{key}'; it has {names}.")
        return loaded[key]


def _load_images(folder: pathlib.Path, shape: Sequence[int | None]) -> np.ndarray:
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in _IMAGE_SUFFIXES)
    if not paths:
        raise ValueError(f"{folder} has no images ({', '.join(_IMAGE_SUFFIXES)}).")
    if len(shape) != 4 or shape[3] not in (1, 3):
        raise ValueError(f"{folder} is a folder of images, but the model takes {tuple(shape[1:])}.")
    loader = import_with_extra("tfmot_mltq.command_line.image_files", ("PIL",), "images", "Images")
    return np.stack([loader.load_image(path, *shape[1:]) for path in paths])
