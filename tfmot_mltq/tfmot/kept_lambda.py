"""Lambda layers on their way through TFMOT, which copies layers by their configurations."""

from __future__ import annotations

from typing import Any

import tf_keras

from tfmot_mltq.helpers.framework_types import Config, Layer
from tfmot_mltq.layout.clone_layer import lambda_config


class KeptLambda(tf_keras.layers.Lambda):
    """A Lambda layer whose configuration holds its function as it is, not as byte code.

    Args:
      plain_class: Class of the layer of the model.
      **arguments: Of that layer.
    """

    def __init__(self, plain_class: type[Layer], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.plain_class = plain_class

    def get_config(self) -> Config:
        """Arguments of the constructor."""
        return {**lambda_config(self), "plain_class": self.plain_class}

    @classmethod
    def from_config(cls, config: Config, custom_objects: Config | None = None) -> KeptLambda:
        """A layer from ``get_config``."""
        return cls(**config)


def kept(layer: Layer) -> KeptLambda:
    """The form in which TFMOT may copy a Lambda layer."""
    return KeptLambda(type(layer), **lambda_config(layer))
