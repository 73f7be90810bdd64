"""What all layers of this package share when they are saved and loaded."""

from __future__ import annotations

from typing import Any

from tfmot_mltq.helpers.framework_types import Config, LayerBase
from tfmot_mltq.helpers.saved_config import unversioned, versioned


class SavedLayer(LayerBase):
    """Mixin: the version of the configuration travels with it."""

    def get_config(self) -> Config:
        """Keras configuration."""
        return versioned(super().get_config())

    @classmethod
    def from_config(cls, config: Config, *arguments: Any) -> Any:
        """A layer from its configuration.

        Raises:
          ValueError: A newer version of this package saved it.
        """
        what = f"Layer '{config.get('name')}' ({cls.__name__})"
        return super().from_config(unversioned(config, what), *arguments)
