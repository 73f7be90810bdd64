"""Types of the frameworks, of which none is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING

# What stands behind a mixin: type checkers see the class of Keras.
if TYPE_CHECKING:
    from keras import Model as ModelBase
    from keras.layers import Layer as LayerBase
else:
    LayerBase = ModelBase = object
