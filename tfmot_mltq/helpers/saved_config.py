"""The version that configurations of this package carry into saved models."""

from __future__ import annotations

from tfmot_mltq.helpers.framework_types import Config

# Raised when a configuration changes in a way that older versions of the package cannot read.
CONFIG_VERSION = 5
_KEY = "config_version"
# Names that arguments of layers had in older versions.
_RENAMED = {"activity_regularization": "sparsity_penalty"}


def versioned(config: Config) -> Config:
    """A configuration to save."""
    return {**config, _KEY: CONFIG_VERSION}


def unversioned(config: Config, name: str) -> Config:
    """A configuration that was saved, without its version, its arguments named as they are now.

    Raises:
      ValueError: A newer version of this package saved it.
    """
    version = config.get(_KEY, CONFIG_VERSION)
    if version > CONFIG_VERSION:
        raise ValueError(
            f"{name} was saved by a newer tfmot_mltq (configuration {version}, this one reads up "
            f"to {CONFIG_VERSION}): pip install --upgrade tfmot-mltq"
        )
    return {_RENAMED.get(key, key): value for key, value in config.items() if key != _KEY}
