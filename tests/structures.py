"""Small networks around every layer, activation and merge of Keras, for both frameworks.

Each structure is a function of a framework (``keras`` or ``tf_keras``) and of the input tensors,
and gives the outputs. ``build`` puts random weights in, and averages of batch normalisation that
are neither 0 nor 1, so that no error hides behind a zero.
"""

import dataclasses
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

import tfmot_mltq as mltq
from tfmot_mltq.layout.frameworks import adapter_of

IMAGE = (8, 8, 3)
SERIES = (12, 4)
VECTOR = (10,)


@dataclasses.dataclass(frozen=True)
class Structure:
    """A network in the making.

    Attributes:
      body: From the framework and the input tensors to the outputs.
      shapes: Of the inputs, without the batch.
      dtype: Of the inputs.
      frameworks: Those that have the layer.
    """

    body: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    dtype: str = "float32"
    frameworks: tuple[str, ...] = ("keras", "tf_keras")


STRUCTURES: dict[str, Structure] = {}


def structure(*shapes, dtype="float32", frameworks=("keras", "tf_keras"), name=None):
    """Registers a body under its name."""

    def register(body):
        STRUCTURES[name or body.__name__] = Structure(body, shapes, dtype, frameworks)
        return body

    return register


def build(keras, name, seed=7):
    """The float model of a structure and samples for it."""
    found = STRUCTURES[name]
    keras.utils.set_random_seed(seed)
    inputs = [keras.Input(shape, dtype=found.dtype) for shape in found.shapes]
    model = keras.Model(inputs if len(inputs) > 1 else inputs[0], found.body(keras, *inputs))
    randomise(model, np.random.default_rng(seed))
    return model, samples(found, np.random.default_rng(seed + 1))


def samples(found, rng, count=48):
    """One array per input; a tenth of the samples are large."""
    arrays = []
    for shape in found.shapes:
        if found.dtype == "float32":
            x = rng.normal(size=(count, *shape)).astype(np.float32)
            x[::10] *= 3
        else:
            x = rng.integers(0, 200, (count, *shape)).astype(found.dtype)
        arrays.append(x)
    return arrays if len(arrays) > 1 else arrays[0]


def randomise(model, rng):
    """Weights of all layers; what has to be positive stays so."""
    for layer in model.layers:
        values = []
        for weight, value in zip(layer.weights, layer.get_weights(), strict=True):
            name = weight.name.partition(":")[0].rpartition("/")[2]
            if not np.issubdtype(value.dtype, np.floating):
                values.append(value)
            elif "variance" in name or "gamma" in name or name == "scale":
                values.append(rng.uniform(0.5, 1.5, value.shape).astype(value.dtype))
            elif name == "alpha":
                values.append(rng.uniform(0.1, 0.4, value.shape).astype(value.dtype))
            elif value.ndim > 1:
                fan_in = max(1, int(np.prod(value.shape[:-1])))
                if "depthwise" in name:
                    fan_in = int(np.prod(value.shape[:-2]))
                scale = 1.3 / np.sqrt(fan_in)
                values.append(rng.normal(0, scale, value.shape).astype(value.dtype))
            else:
                values.append(rng.uniform(-0.3, 0.3, value.shape).astype(value.dtype))
        if values:
            layer.set_weights(values)


def with_levels(model):
    """Names of the layers that quantize_model asks for levels in, the first and the last among
    them. The model is not quantized for it, which takes long where steps are written out.
    """
    asked = set()

    def quantize(flat, configs):
        asked.update(layer.name for layer in flat.layers if layer.name in configs)
        return flat

    with mock.patch.object(type(adapter_of(model)), "quantize", staticmethod(quantize)):
        mltq.quantize_model(model, include_first_layer=True, include_last_layer=True)
    return asked


def conv(keras, x, filters=8, size=3, **kwargs):
    """A convolution that keeps the size of the image."""
    return keras.layers.Conv2D(filters, size, padding="same", **kwargs)(x)


def stem(keras, x, filters=8):
    """Two convolutions: the second one gets levels."""
    return conv(keras, conv(keras, x, filters, activation="relu"), filters)


def head(keras, x, units=5):
    """Flatten and two dense layers, the first one with levels."""
    layers = keras.layers
    x = layers.Flatten()(x)
    return layers.Dense(units)(layers.Dense(12, activation="relu")(x))


# Activations, as layers and as arguments ----------------------------------------------------------

ACTIVATIONS = (
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu",
    "hard_swish", "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu",
    "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign",
    "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh", "tanh_shrink",
)  # fmt: skip
_TF_KERAS_ACTIVATIONS = frozenset({
    "elu", "exponential", "gelu", "hard_sigmoid", "leaky_relu", "linear", "log_softmax", "mish",
    "relu", "relu6", "selu", "sigmoid", "softmax", "softplus", "softsign", "swish", "tanh",
})  # fmt: skip


def _activation_structures():
    for activation in ACTIVATIONS:
        frameworks = ("keras", "tf_keras") if activation in _TF_KERAS_ACTIVATIONS else ("keras",)

        def as_argument(keras, x, activation=activation):
            x = conv(keras, conv(keras, x, activation="relu"), activation=activation)
            x = keras.layers.GlobalAveragePooling2D()(x)
            return keras.layers.Dense(4)(x)

        def as_layer(keras, x, activation=activation):
            x = keras.layers.Activation(activation)(keras.layers.Dense(8)(x))
            return keras.layers.Dense(4)(keras.layers.Dense(8)(x))

        structure(IMAGE, frameworks=frameworks, name=f"argument_{activation}")(as_argument)
        structure(VECTOR, frameworks=frameworks, name=f"layer_{activation}")(as_layer)


_activation_structures()


def _layer_between(name, make, shape=IMAGE, frameworks=("keras", "tf_keras")):
    def body(keras, x):
        return head(keras, make(keras)(stem(keras, x) if len(shape) == 3 else x))

    structure(shape, frameworks=frameworks, name=name)(body)


def _layer_in_series(name, make, frameworks=("keras", "tf_keras")):
    def body(keras, x):
        layers = keras.layers
        x = layers.Conv1D(6, 3, padding="same")(layers.Conv1D(6, 3, activation="relu")(x))
        return head(keras, make(keras)(x))

    structure(SERIES, frameworks=frameworks, name=name)(body)


ONE_INPUT_LAYERS = {
    "relu_max_4": lambda k: k.layers.ReLU(4.0),
    "relu_max_half": lambda k: k.layers.ReLU(0.5),
    "relu_slope": lambda k: k.layers.ReLU(negative_slope=0.2),
    "relu_threshold": lambda k: k.layers.ReLU(threshold=0.3),
    "relu_everything": lambda k: k.layers.ReLU(3.0, negative_slope=0.1, threshold=0.2),
    "leaky_relu": lambda k: k.layers.LeakyReLU(),
    "prelu": lambda k: k.layers.PReLU(),
    "prelu_shared": lambda k: k.layers.PReLU(shared_axes=[1, 2]),
    "elu": lambda k: k.layers.ELU(),
    "softmax_layer": lambda k: k.layers.Softmax(),
    "softmax_axis": lambda k: k.layers.Softmax(axis=1),
    "average_pooling": lambda k: k.layers.AveragePooling2D(2),
    "average_pooling_same": lambda k: k.layers.AveragePooling2D(3, 2, padding="same"),
    "average_pooling_all": lambda k: k.layers.AveragePooling2D(8),
    "max_pooling": lambda k: k.layers.MaxPooling2D(3, 2, padding="same"),
    "global_average": lambda k: k.layers.GlobalAveragePooling2D(),
    "global_average_keepdims": lambda k: k.layers.GlobalAveragePooling2D(keepdims=True),
    "global_max": lambda k: k.layers.GlobalMaxPooling2D(),
    "global_max_keepdims": lambda k: k.layers.GlobalMaxPooling2D(keepdims=True),
    "upsampling_nearest": lambda k: k.layers.UpSampling2D(2),
    "upsampling_nearest_3_1": lambda k: k.layers.UpSampling2D((3, 1)),
    "upsampling_bilinear": lambda k: k.layers.UpSampling2D(2, interpolation="bilinear"),
    "resizing_bilinear": lambda k: k.layers.Resizing(5, 11),
    "resizing_nearest": lambda k: k.layers.Resizing(12, 4, interpolation="nearest"),
    "resizing_area": lambda k: k.layers.Resizing(4, 4, interpolation="area"),
    "zero_padding": lambda k: k.layers.ZeroPadding2D(((1, 2), (0, 3))),
    "cropping": lambda k: k.layers.Cropping2D(((1, 2), (0, 3))),
    "permute": lambda k: k.layers.Permute((3, 1, 2)),
    "reshape": lambda k: k.layers.Reshape((4, 16, 8)),
    "flatten": lambda k: k.layers.Flatten(),
    "batch_norm": lambda k: k.layers.BatchNormalization(),
    "batch_norm_axis_1": lambda k: k.layers.BatchNormalization(axis=1),
    "batch_norm_plain": lambda k: k.layers.BatchNormalization(scale=False, center=False),
    "layer_norm": lambda k: k.layers.LayerNormalization(),
    "layer_norm_axes": lambda k: k.layers.LayerNormalization(axis=[1, 2, 3]),
    "group_norm": lambda k: k.layers.GroupNormalization(4),
    "unit_norm": lambda k: k.layers.UnitNormalization(),
    "rescaling": lambda k: k.layers.Rescaling(0.3),
    "rescaling_offset": lambda k: k.layers.Rescaling(0.3, offset=0.4),
    "normalization": lambda k: k.layers.Normalization(
        mean=np.linspace(-1, 1, 8), variance=np.linspace(0.5, 2, 8)
    ),
    "normalization_scalar": lambda k: k.layers.Normalization(axis=None, mean=0.3, variance=2.0),
    "normalization_axes": lambda k: k.layers.Normalization(
        axis=(1, 3), mean=np.linspace(-1, 1, 64).reshape(8, 8),
        variance=np.linspace(0.5, 2, 64).reshape(8, 8),
    ),
    "normalization_axis_1": lambda k: k.layers.Normalization(
        axis=1, mean=np.linspace(-1, 1, 8), variance=np.linspace(0.5, 2, 8)
    ),
    "normalization_invert": lambda k: k.layers.Normalization(
        mean=np.linspace(-1, 1, 8), variance=np.linspace(0.5, 2, 8), invert=True
    ),
    "dropout": lambda k: k.layers.Dropout(0.3),
    "gaussian_noise": lambda k: k.layers.GaussianNoise(0.3),
    "conv_transpose": lambda k: k.layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
    "conv_transpose_valid": lambda k: k.layers.Conv2DTranspose(4, 3, strides=2, activation="relu"),
    "conv_strided": lambda k: k.layers.Conv2D(6, 3, strides=2, activation="tanh"),
    "conv_dilated": lambda k: k.layers.Conv2D(6, 3, dilation_rate=2, activation="relu"),
    "conv_grouped": lambda k: k.layers.Conv2D(8, 3, groups=2, activation="relu"),
    "conv_no_bias": lambda k: k.layers.Conv2D(6, (1, 3), use_bias=False),
    "depthwise": lambda k: k.layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu6"),
    "separable": lambda k: k.layers.SeparableConv2D(6, 3, activation="sigmoid"),
    "dense_on_images": lambda k: k.layers.Dense(6, activation="relu"),
    "spectral_norm": lambda k: k.layers.SpectralNormalization(k.layers.Conv2D(6, 3)),
    "center_crop": lambda k: k.layers.CenterCrop(6, 4),
    "lambda_layer": lambda k: k.layers.Lambda(lambda x: x * x * 0.5 - 0.1),
    "einsum_dense": lambda k: k.layers.EinsumDense("abcd,de->abce", (8, 8, 5)),
}  # fmt: skip
KERAS_3_LAYERS = {
    "rms_norm": lambda k: k.layers.RMSNormalization(),
    "adaptive_average": lambda k: k.layers.AdaptiveAveragePooling2D(2),
    "adaptive_max": lambda k: k.layers.AdaptiveMaxPooling2D(2),
}
TF_KERAS_LAYERS = {
    "thresholded_relu": lambda k: k.layers.ThresholdedReLU(0.3),
    "locally_connected": lambda k: k.layers.LocallyConnected2D(4, 3, implementation=3),
}
SERIES_LAYERS = {
    "conv1d": lambda k: k.layers.Conv1D(6, 3, padding="same", activation="relu"),
    "conv1d_causal": lambda k: k.layers.Conv1D(6, 3, padding="causal", dilation_rate=2),
    "conv1d_strided": lambda k: k.layers.Conv1D(6, 3, strides=2, activation="gelu"),
    "separable1d": lambda k: k.layers.SeparableConv1D(6, 3, padding="same", activation="relu"),
    "separable1d_strided": lambda k: k.layers.SeparableConv1D(6, 3, 2, depth_multiplier=2),
    "depthwise1d": lambda k: k.layers.DepthwiseConv1D(3, activation="relu"),
    "conv1d_transpose": lambda k: k.layers.Conv1DTranspose(5, 3, strides=2, activation="relu"),
    "average_pooling1d": lambda k: k.layers.AveragePooling1D(2),
    "max_pooling1d": lambda k: k.layers.MaxPooling1D(2),
    "global_average1d": lambda k: k.layers.GlobalAveragePooling1D(),
    "global_max1d": lambda k: k.layers.GlobalMaxPooling1D(),
    "upsampling1d": lambda k: k.layers.UpSampling1D(2),
    "zero_padding1d": lambda k: k.layers.ZeroPadding1D((1, 2)),
    "cropping1d": lambda k: k.layers.Cropping1D((1, 2)),
    "batch_norm1d": lambda k: k.layers.BatchNormalization(),
    "layer_norm1d": lambda k: k.layers.LayerNormalization(),
    "permute1d": lambda k: k.layers.Permute((2, 1)),
    "spatial_dropout1d": lambda k: k.layers.SpatialDropout1D(0.2),
    "masking": lambda k: k.layers.Masking(0.7),
    "lstm": lambda k: k.layers.LSTM(6),
    "lstm_sequences": lambda k: k.layers.LSTM(6, return_sequences=True),
    "gru": lambda k: k.layers.GRU(5),
    "simple_rnn": lambda k: k.layers.SimpleRNN(5),
    "bidirectional": lambda k: k.layers.Bidirectional(k.layers.LSTM(4)),
    "time_distributed": lambda k: k.layers.TimeDistributed(k.layers.Dense(5, activation="relu")),
}
for _name, _make in ONE_INPUT_LAYERS.items():
    _layer_between(_name, _make)
for _name, _make in TF_KERAS_LAYERS.items():
    _layer_between(_name, _make, frameworks=("tf_keras",))
for _name, _make in KERAS_3_LAYERS.items():
    _layer_between(_name, _make, frameworks=("keras",))
for _name, _make in SERIES_LAYERS.items():
    _layer_in_series(_name, _make)


# Merges -------------------------------------------------------------------------------------------

MERGES = ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")


def _merge_structures():
    for kind in MERGES:
        for count in (2, 3):
            if kind == "Subtract" and count == 3:
                continue

            def body(keras, x, kind=kind, count=count):
                x = stem(keras, x)
                scales = (1.0, 3.0, 0.2)[:count]
                branches = [keras.layers.Rescaling(s)(conv(keras, x)) for s in scales]
                return head(keras, getattr(keras.layers, kind)()(branches))

            structure(IMAGE, name=f"{kind.lower()}_{count}")(body)

    for kind in ("add", "subtract", "multiply", "maximum", "minimum"):

        def with_constant(keras, x, kind=kind):
            ops = keras.ops
            return head(keras, getattr(ops, kind)(stem(keras, x), 0.7))

        structure(IMAGE, frameworks=("keras",), name=f"constant_{kind}")(with_constant)


_merge_structures()


@structure(IMAGE)
def concatenate_of_poolings(keras, x):
    layers = keras.layers
    x = stem(keras, x)
    parts = [layers.AveragePooling2D(2)(x), layers.MaxPooling2D(2)(x)]
    parts.append(layers.Conv2D(4, 1, strides=2, activation="relu")(x))
    return head(keras, conv(keras, layers.Concatenate()(parts)))


@structure(IMAGE)
def channel_attention(keras, x):
    layers = keras.layers
    x = stem(keras, x)
    both = [layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)]
    gate = layers.Reshape((1, 1, 16))(layers.Concatenate()(both))
    gate = layers.Conv2D(8, 1, activation="sigmoid")(layers.Conv2D(4, 1, activation="relu")(gate))
    return head(keras, layers.Multiply()([x, gate]))


@structure(IMAGE)
def squeeze_and_excitation_hard(keras, x):
    layers = keras.layers
    x = stem(keras, x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(4, 1, activation="relu")(gate)
    gate = layers.Conv2D(8, 1, activation="hard_sigmoid")(gate)
    return head(keras, layers.Multiply()([x, gate]))


@structure(IMAGE)
def heat_map(keras, x):
    layers = keras.layers
    x = stem(keras, x, 4)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    return conv(keras, conv(keras, x, 4, activation="relu"), 1)


@structure(IMAGE)
def u_net(keras, x):
    layers = keras.layers
    a = stem(keras, x)
    b = conv(keras, layers.MaxPooling2D()(a), 8, activation="relu")
    b = layers.Concatenate()([layers.UpSampling2D()(b), a])
    return conv(keras, conv(keras, b, 6, activation="relu"), 2)


@structure(IMAGE)
def dense_block(keras, x):
    layers = keras.layers
    x = stem(keras, x)
    for _ in range(2):
        y = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Concatenate()([x, conv(keras, y, 4)])
    return layers.Dense(4)(layers.Flatten()(layers.AveragePooling2D(4)(x)))


@structure(IMAGE)
def batch_norm_first(keras, x):
    return head(keras, stem(keras, keras.layers.BatchNormalization()(x)))


@structure(IMAGE)
def batch_norm_after_relu(keras, x):
    layers = keras.layers
    for _ in range(3):
        x = layers.BatchNormalization()(conv(keras, x, 6, activation="relu"))
    return head(keras, x)


@structure(IMAGE)
def batch_norm_after_transpose(keras, x):
    layers = keras.layers
    x = layers.Conv2DTranspose(4, 3, strides=2)(stem(keras, x))
    return head(keras, layers.ReLU()(layers.BatchNormalization()(x)))


@structure(VECTOR)
def batch_norm_of_dense(keras, x):
    layers = keras.layers
    x = layers.BatchNormalization()(layers.Dense(16, activation="relu")(x))
    x = layers.BatchNormalization()(layers.Dense(12, activation="tanh")(x))
    return layers.Dense(4, activation="softmax")(layers.BatchNormalization()(x))


@structure(IMAGE)
def conv_next_block(keras, x):
    layers = keras.layers
    x = conv(keras, x)
    y = layers.DepthwiseConv2D(3, padding="same")(x)
    y = layers.LayerNormalization(epsilon=1e-6)(y)
    y = layers.Dense(8)(layers.Dense(32, activation="gelu")(y))
    return layers.Dense(4)(layers.GlobalAveragePooling2D()(layers.Add()([x, y])))


@structure(IMAGE, dtype="uint8")
def camera(keras, x):
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(x)
    return head(keras, stem(keras, x))


@structure((6,), dtype="int32")
def embedding(keras, x):
    layers = keras.layers
    x = layers.Embedding(200, 8)(x)
    x = layers.Conv1D(8, 3, activation="relu")(x)
    return layers.Dense(4)(layers.GlobalAveragePooling1D()(layers.Conv1D(8, 3)(x)))


@structure(SERIES)
def temporal_convolutions(keras, x):
    layers = keras.layers
    x = layers.Conv1D(8, 3, padding="causal")(x)
    for dilation in (1, 2):
        y = layers.Conv1D(8, 3, padding="causal", dilation_rate=dilation, activation="relu")(x)
        x = layers.Add()([x, layers.Conv1D(8, 1)(y)])
    return layers.Dense(4)(layers.GlobalAveragePooling1D()(x))


@structure(VECTOR, VECTOR)
def siamese(keras, a, b):
    layers = keras.layers
    shared = layers.Dense(12, activation="relu")
    both = [layers.Dense(12)(shared(x)) for x in (a, b)]
    return layers.Dense(3)(layers.Dense(8, activation="relu")(layers.Subtract()(both)))


@structure(IMAGE, VECTOR)
def two_inputs(keras, image, vector):
    layers = keras.layers
    x = layers.Flatten()(stem(keras, image))
    x = layers.Concatenate()([x, layers.Dense(8, activation="relu")(vector)])
    return [layers.Dense(3)(layers.Dense(8)(x)), layers.Dense(2, activation="softmax")(x)]


@structure(SERIES)
def attention_heads(keras, x):
    layers = keras.layers
    x = layers.Dense(8)(x)
    x = layers.Dense(8)(layers.MultiHeadAttention(2, 4)(x, x))
    return head(keras, x)


@structure(SERIES)
def dot_product_attention(keras, x):
    layers = keras.layers
    q, k = layers.Dense(8)(x), layers.Dense(8)(x)
    return head(keras, layers.Attention()([q, k]))


@structure(SERIES)
def dot(keras, x):
    layers = keras.layers
    a, b = layers.Dense(8)(x), layers.Dense(8, activation="relu")(x)
    return head(keras, layers.Dot(axes=2)([a, b]))


@structure(IMAGE, frameworks=("keras",))
def operations(keras, x):
    ops = keras.ops
    x = stem(keras, x)
    a, b = ops.split(x, 2, axis=-1)
    x = ops.concatenate([ops.flip(a, axis=1), ops.roll(b, 1, axis=2)], axis=-1)
    x = ops.stack([x[:, ::2, ::2], x[:, 1::2, 1::2]], axis=1)
    x = ops.squeeze(ops.expand_dims(ops.transpose(x, (0, 2, 1, 3, 4)), 1), 1)
    x = ops.reshape(ops.clip(x, -0.5, 0.8), (-1, 8, 4, 8))
    return head(keras, conv(keras, ops.pad(x, ((0, 0), (1, 1), (0, 2), (0, 0)))))


@structure(IMAGE, frameworks=("keras",))
def elementwise_operations(keras, x):
    ops = keras.ops
    x = stem(keras, x)
    x = ops.sqrt(ops.square(x) + 0.1) - ops.abs(x) * 0.3 + ops.sin(x)
    return head(keras, conv(keras, ops.log(ops.exp(x * 0.3) + 1.0) / 0.7))


@structure(IMAGE, frameworks=("keras",))
def reductions(keras, x):
    ops = keras.ops
    x = stem(keras, x)
    x = ops.concatenate([ops.mean(x, (1, 2)), ops.max(x, (1, 2)), ops.sum(x, (1, 2)) * 0.1], -1)
    return keras.layers.Dense(3)(keras.layers.Dense(6)(x))


# Layers that do nothing in inference, or that only pass values on, one behind the other.
NOTHING_IN_INFERENCE = (
    "ActivityRegularization", "AlphaDropout", "GaussianDropout", "Identity", "SpatialDropout2D",
)  # fmt: skip
AUGMENTATIONS = ("RandomBrightness", "RandomContrast", "RandomFlip", "RandomRotation", "RandomZoom")
KERAS_3_AUGMENTATIONS = (
    "AugMix", "AutoContrast", "RandomColorDegeneration", "RandomColorJitter", "RandomErasing",
    "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective",
    "RandomPosterization", "RandomSaturation", "RandomSharpness", "RandomShear", "Solarization",
)  # fmt: skip


@structure(IMAGE)
def nothing_in_inference(keras, x):
    x = stem(keras, x)
    for kind in NOTHING_IN_INFERENCE:
        arguments = () if kind in ("ActivityRegularization", "Identity") else (0.3,)
        x = getattr(keras.layers, kind)(*arguments)(x)
    return head(keras, x)


@structure(IMAGE)
def augmentation(keras, x):
    for kind in AUGMENTATIONS:
        x = getattr(keras.layers, kind)(*(() if kind == "RandomFlip" else (0.2,)))(x)
    return head(keras, stem(keras, x))


@structure(VECTOR)
def repeated_vector(keras, x):
    layers = keras.layers
    x = layers.RepeatVector(4)(layers.Dense(6, activation="relu")(x))
    return head(keras, layers.Conv1D(6, 3, padding="same")(x))


@structure(SERIES)
def additive_attention(keras, x):
    layers = keras.layers
    q, k = layers.Dense(8)(x), layers.Dense(8)(x)
    return head(keras, layers.AdditiveAttention()([q, k]))


@structure(SERIES, frameworks=("keras",))
def grouped_attention(keras, x):
    layers = keras.layers
    x = layers.Dense(8)(x)
    return head(keras, layers.GroupQueryAttention(4, 4, 2)(x, x))


@structure((6, 6, 6, 2))
def volume_convolution(keras, x):
    layers = keras.layers
    return head(keras, layers.Conv3D(4, 3)(layers.Dense(4)(x)))


@structure((6, 6, 6, 2))
def volume_pooling(keras, x):
    layers = keras.layers
    x = layers.MaxPooling3D(2)(layers.Dense(4)(x))
    return head(keras, x)


@structure((4, 6, 6, 2))
def convolutional_lstm(keras, x):
    layers = keras.layers
    return head(keras, layers.ConvLSTM2D(3, 3)(layers.Dense(3)(x)))


@structure(VECTOR)
def buckets(keras, x):
    layers = keras.layers
    x = layers.Embedding(4, 3)(layers.Discretization([-1.0, 0.0, 1.0])(x))
    return layers.Dense(3)(layers.Dense(6)(layers.Flatten()(x)))


@structure(SERIES)
def wavenet(keras, x):
    layers = keras.layers
    skips = []
    x = layers.Conv1D(6, 2, padding="causal")(x)
    for rate in (1, 2):
        gate = [
            layers.Conv1D(6, 2, dilation_rate=rate, padding="causal", activation=activation)(x)
            for activation in ("tanh", "sigmoid")
        ]
        y = layers.Conv1D(6, 1)(layers.Multiply()(gate))
        skips.append(y)
        x = layers.Add()([x, y])
    return layers.Conv1D(5, 1)(layers.ReLU()(layers.Add()(skips)))


@structure(IMAGE)
def dilated_siblings(keras, x):
    layers = keras.layers
    x = stem(keras, x, 4)
    branches = [conv(keras, x, 4, dilation_rate=2, activation="relu") for _ in range(2)]
    for padding in ("same", "valid"):
        y = layers.DepthwiseConv2D(3, dilation_rate=2, padding=padding)(x)
        branches.append(layers.ZeroPadding2D(2)(y) if padding == "valid" else y)
        branches.append(layers.DepthwiseConv2D(3, dilation_rate=2, padding="same")(x))
    return conv(keras, layers.Concatenate()(branches), 3)


@structure(SERIES)
def dilated_depthwise1d(keras, x):
    layers = keras.layers
    x = layers.Conv1D(4, 1)(x)
    return layers.Add()(
        [layers.DepthwiseConv1D(3, padding="same", dilation_rate=2)(x) for _ in "ab"]
    )
