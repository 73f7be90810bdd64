"""What all layers of this package share when they are saved and loaded."""

from __future__ import annotations

from typing import Any

# Raised when a configuration of a layer changes in a way that older versions cannot read.
_CONFIG_VERSION = 1


class SavedLayer:
    """Mixin: the version of the configuration travels with it."""

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "config_version": _CONFIG_VERSION}

    @classmethod
    def from_config(cls, config: dict[str, Any], *arguments: Any) -> Any:
        """A layer from its configuration.

        Raises:
          ValueError: A newer version of this package saved it.
        """
        config = dict(config)
        version = config.pop("config_version", _CONFIG_VERSION)
        if version > _CONFIG_VERSION:
            raise ValueError(
                f"Layer '{config.get('name')}' ({cls.__name__}) was saved by a newer tfmot_mltq "
                f"(layer format {version}, this one reads up to {_CONFIG_VERSION}): "
                "pip install --upgrade tfmot-mltq"
            )
        return super().from_config(config, *arguments)
