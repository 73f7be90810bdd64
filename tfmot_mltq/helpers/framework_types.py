"""Names for what belongs to a framework, of which none is imported here.

The frameworks come without types, and which of them runs is known only then. So to a type checker
these are any value; what they say is for readers.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import numpy as np

# What stands behind a mixin: type checkers see the class of Keras.
if TYPE_CHECKING:
    from keras import Model as ModelBase
    from keras.layers import Layer as LayerBase
else:
    LayerBase = ModelBase = object

# Of Keras or tf_keras; an operation of Keras 3, which has no weights, counts as a layer.
Layer = Any
Model = Any
# A tensor of a framework, symbolic or not, and tensors in nested lists, tuples and dicts.
Tensor = Any
Structure = Any
# A weight, as a layer holds it, and how it begins.
Variable = Any
Initializer = Any
# What Keras passes to the hooks that save and load the weights of a layer.
WeightStore = MutableMapping[str, np.ndarray]
# The losses and metrics that Keras passes to callbacks.
Logs = Mapping[str, Tensor]
# The shape of one tensor, or of several.
Shape = Any
# An array, and the namespace of functions that fits: NumPy's, or one like it.
Array = Any
ArrayNamespace = Any
# The configuration of a layer, as Keras saves it.
Config = dict[str, Any]
# Samples in one of the forms that ``convert`` takes.
Dataset = Any
