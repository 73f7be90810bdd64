"""From Keras to the C operators in both runtimes. Every layer kind inherits one contract."""

import dataclasses
import importlib

import contract_networks
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from backend_runs import BACKENDS
from packed_layers import packed_operators

import tfmot_mltq as mltq
from tfmot_mltq.converter.match import filter_operators, match
from tfmot_mltq.helpers import flatbuffer
from tfmot_mltq.packing import packed_layer
from tfmot_mltq.packing.encodings.byte_indices import BYTE_INDICES
from tfmot_mltq.packing.format import CUSTOM_OP_NAMES

layers = keras.layers


def operators(tflite):
    model = flatbuffer.load(tflite)
    return [flatbuffer.operator_name(model, op) for op in model.subgraphs[0].operators]


def packed_layers(tflite):
    """The packed layers of a model, in operator order."""
    model = flatbuffer.load(tflite)
    subgraph = model.subgraphs[0]
    return [
        packed_layer.decode(flatbuffer.constant(model, subgraph.tensors[op.inputs[1]]).tobytes())
        for op in subgraph.operators
        if flatbuffer.operator_name(model, op) in CUSTOM_OP_NAMES.values()
    ]


def run_everywhere(q, tflite, x):
    """Checks the runtimes against each other and against Keras; returns TFLM's output."""
    on_tflm = mltq.Interpreter(tflite, runtime="tflm").predict(x)
    on_reference = mltq.Interpreter(tflite, runtime="litert", reference_kernels=True).predict(x)
    on_litert = mltq.Interpreter(tflite, runtime="litert")
    in_keras = q.predict(x, verbose=0)
    step = on_litert.output_details[0].scale
    np.testing.assert_array_equal(on_reference, on_tflm)
    # Rounding of the stock layers, and of biases and multipliers: a few steps at most.
    assert np.abs(on_litert.predict(x) - on_tflm).max() <= 4.01 * step
    assert np.abs(in_keras - on_tflm).max() <= 4.01 * step
    assert np.abs(in_keras - on_tflm).mean() <= 0.6 * step
    return on_tflm


def as_tf_keras(q, network):
    """A quantized tf_keras model with the weights and ranges of a quantized Keras 3 model."""
    twin = mltq.quantize_model(network.build(keras), network.levels, **network.arguments)
    ours = (layer.name for layer in mltq.strip(q).layers)
    theirs = (layer.name for layer in mltq.strip(twin).layers)
    names = dict(zip(theirs, ours, strict=True))
    ranges = {"min": "range_min", "max": "range_max", "initialized": "initialized"}
    for layer in twin.layers:
        source_name = names[layer.name.removeprefix("quant_").removeprefix("quantize_")]
        for weight in layer.weights:
            name = weight.name.partition(":")[0].rpartition("/")[2]
            if name == "optimizer_step":  # TFMOT's, of no use here
                continue
            if name.startswith("output_"):
                source = q.get_layer(f"quantize_{source_name}")
                name = ranges[name.removeprefix("output_")]
            else:
                source = q.get_layer(source_name)
                name = {"depthwise_kernel": "kernel"}.get(name, name)
            weight.assign(next(w for w in source.weights if w.name == name).numpy())
    return twin


class LayerContract:
    """A network around one layer kind, trained in one framework on one backend, converts to the
    same integers on every runtime.
    """

    network: type[contract_networks.Network]

    @pytest.fixture(scope="class", params=["tf_keras", *BACKENDS])
    @classmethod
    def q(cls, request, backend_runs):
        framework = request.param
        folder = backend_runs.models("tensorflow" if framework == "tf_keras" else framework)
        module = "tf_keras" if framework == "tf_keras" else "keras"
        path = folder / f"{cls.network.__name__}_{module}.keras"
        return importlib.import_module(module).models.load_model(path)

    @pytest.fixture(scope="class")
    @classmethod
    def tflite(cls, q):
        return mltq.convert(q)

    def test_runs_bit_exactly(self, q, tflite):
        out = run_everywhere(q, tflite, self.network.data())
        assert len(np.unique(out)) > 16

    def test_the_layers_are_custom_operators(self, tflite):
        found = [name for name in operators(tflite) if name in CUSTOM_OP_NAMES.values()]
        assert found == self.network.custom_ops
        assert {layer.levels for layer in packed_layers(tflite)} == {self.network.levels}

    def test_the_same_weights_in_tf_keras_give_the_same_bits(self, q, tflite):
        if isinstance(q, keras.Model):
            twin = keras.models.clone_model(q)
            twin.set_weights(q.get_weights())
        else:
            twin = as_tf_keras(q, self.network)
        converted = mltq.convert(twin)
        x = self.network.data()
        np.testing.assert_array_equal(
            mltq.Interpreter(converted).predict(x), mltq.Interpreter(tflite).predict(x)
        )
        assert [packed_layer.encode(layer) for layer in packed_layers(converted)] == [
            packed_layer.encode(layer) for layer in packed_layers(tflite)
        ]


for network in contract_networks.NETWORKS:
    name = f"Test{network.__name__}"
    globals()[name] = type(name, (LayerContract,), {"network": network})


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((40, 10, 10, 3), dtype=np.float32)


@pytest.fixture(scope="module")
def graph():
    """Residual adds, a nested model, a shared layer, two inputs' worth of operators; untrained."""
    keras.utils.set_random_seed(2)
    inputs = keras.Input((10, 10, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    inner_in = keras.Input((10, 10, 8))
    inner = keras.Model(inner_in, layers.DepthwiseConv2D(3, padding="same", name="dw")(inner_in))
    shared = layers.Conv2D(8, 3, padding="same", activation="relu")
    y = layers.ReLU()(layers.Add()([shared(x), inner(x)]))
    y = layers.Concatenate()([shared(y), layers.AveragePooling2D(3, 1, "same")(y)])
    y = layers.MaxPooling2D()(layers.Conv2D(8, 1)(layers.ZeroPadding2D()(y)) * 0.5)
    y = layers.AveragePooling2D(6)(y)
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(layers.Flatten()(y)))


def test_graphs_convert_without_training(graph, images):
    q = mltq.quantize_model(graph, levels=2)
    tflite = mltq.convert(q, images)
    ops = operators(tflite)
    assert ops.count("MLTQ_CONV_2D") == 3
    assert ops.count("MLTQ_DEPTHWISE_CONV_2D") == 1
    run_everywhere(q, tflite, images)


@pytest.mark.parametrize("granularity", ["bit", "word", "float words"])
@pytest.mark.parametrize("framework", ["tf_keras", "keras"])
def test_pruned_models_keep_their_zeros(framework, granularity):
    module = importlib.import_module(framework)
    module.utils.set_random_seed(6)
    network = contract_networks.SeparableConv2D
    model, x = network.build(module), network.data()
    schedule = mltq.PolynomialDecay(0.3, 0.9, 0, 8, frequency=2)
    if granularity == "float words":
        p = mltq.prune_low_magnitude(model, schedule, granularity="word")
    else:
        p = mltq.prune_low_magnitude(
            mltq.quantize_model(model, 3), schedule, granularity=granularity
        )
    p.compile("adam", "mse")
    targets = x.reshape(32, -1)[:, :4]
    p.fit(x, targets, 8, 3, verbose=0, callbacks=[mltq.UpdatePruningStep()])
    if granularity == "float words":
        p = mltq.quantize_model(p, 2)
        mltq.calibrate(p, x)
    tflite = mltq.convert(p)
    run_everywhere(p, tflite, x)
    entries = mltq.summary(p, print_table=False)["layers"]
    packed = packed_layers(tflite)
    assert len(packed) == len(entries) > 0
    nonzero = [int(np.count_nonzero(layer.planes)) for layer in packed]
    # Levels whose scale is negligible are not stored.
    held = sorted(entry["nonzero_bits"] for entry in entries)
    for stored, bits in zip(sorted(nonzero), held, strict=True):
        assert bits - max(2, 0.1 * bits) <= stored <= bits
    assert sum(nonzero) < 0.2 * sum(entry["levels"] * entry["weights"] for entry in entries)


def squeeze_and_excitation():
    inputs = keras.Input((10, 10, 3))
    x = layers.Conv2D(8, 1, activation="swish")(inputs)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Multiply()([x, layers.Conv2D(8, 1, activation="sigmoid")(gate)])
    x = tf.nn.relu6(layers.Conv2D(8, 3)(x) * 0.5 + 1.0) / 6.0
    first, second = tf.split(x, 2, axis=-1)
    x = layers.Concatenate()([layers.Conv2D(4, 3, padding="same")(first), second])
    x = layers.Conv2DTranspose(4, 3, strides=2, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.Conv2D(4, 3)(x))))


def pre_activation():
    inputs = keras.Input((10, 10, 3))
    x = layers.Conv2D(6, 1)(inputs)
    for _ in range(2):
        y = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.add([x, layers.Conv2D(6, 3, padding="same")(y)])
    x = layers.Conv2D(4, 3)(layers.LeakyReLU()(x))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalMaxPooling2D()(x)))


def attention():
    inputs = keras.Input((10, 10, 3))
    x = layers.Dense(8)(layers.Reshape((10, 30))(inputs))
    x = layers.LayerNormalization()(layers.MultiHeadAttention(2, 4)(x, x) + x)
    x = layers.Dense(8, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(3)(x))


@pytest.mark.parametrize(
    ("build", "layer_count"), [(squeeze_and_excitation, 4), (pre_activation, 3), (attention, 1)]
)
@pytest.mark.filterwarnings("ignore:Layer .* stays int8")
def test_graphs_with_other_layers(build, layer_count, images):
    keras.utils.set_random_seed(6)
    q = mltq.quantize_model(build(), levels=3)
    tflite = mltq.convert(q, images)
    assert len(packed_layers(tflite)) == layer_count
    on_tflm = mltq.Interpreter(tflite).predict(images)
    on_reference = mltq.Interpreter(tflite, "litert", reference_kernels=True).predict(images)
    np.testing.assert_array_equal(on_reference, on_tflm)
    step = mltq.Interpreter(tflite).output_details[0].scale
    # Some twenty roundings to int8 in a row.
    assert np.abs(q.predict(images, verbose=0) - on_tflm).mean() < 4 * step


def test_conversion_is_repeatable(graph, images):
    q = mltq.quantize_model(graph, levels=2)
    assert mltq.convert(q, images) == mltq.convert(q)


def test_encodings_for_speed_give_the_same_outputs(graph, images):
    q = mltq.quantize_model(graph, levels=2)
    mltq.calibrate(q, images)
    small, fast = mltq.convert(q), mltq.convert(q, optimize="speed", target="xtensa")
    assert len(fast) >= len(small)
    np.testing.assert_array_equal(
        *(mltq.Interpreter(t, runtime="tflm").predict(images[:4]) for t in (small, fast))
    )
    with pytest.raises(ValueError, match="optimize must be one of"):
        mltq.convert(q, optimize="flash")
    with pytest.raises(ValueError, match="target must be one of"):
        mltq.convert(q, target="z80")


def test_fast_fully_connected_layers_give_the_same_outputs(rng):
    """Several positions too: a time series."""
    model = keras.Sequential([
        keras.Input((3, 150)),
        layers.Dense(40, activation="relu"),
        layers.Flatten(),
        layers.Dense(140, activation="relu"),
        layers.Dense(5),
    ])  # fmt: skip
    q = mltq.quantize_model(model, levels=2, include_first_layer=True, include_last_layer=True)
    x = rng.normal(size=(8, 3, 150)).astype(np.float32)
    mltq.calibrate(q, x)
    small, fast = mltq.convert(q), mltq.convert(q, optimize="speed")
    for runtime in ("tflm", "litert"):
        runs = (mltq.Interpreter(tflite, runtime=runtime).predict(x) for tflite in (small, fast))
        np.testing.assert_array_equal(*runs)
    for ours, theirs in zip(packed_layers(fast), packed_layers(small), strict=True):
        np.testing.assert_array_equal(ours.biases, theirs.biases)
        np.testing.assert_array_equal(ours.planes, theirs.planes)
    codes = [operator.encodings for operator in packed_operators(fast).values()]
    assert codes == [[BYTE_INDICES.code] * 2] * 3


def test_encodings_can_be_forced(graph, images):
    q = mltq.quantize_model(graph, levels=2)
    mltq.calibrate(q, images)
    results = []
    for encoding in (0, 4):
        tflite = mltq.convert(q, encoding=encoding)
        results.append((len(tflite), mltq.Interpreter(tflite).predict(images[:8])))
    assert results[0][0] != results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])
    with pytest.raises(ValueError, match="encoding must be one of"):
        mltq.convert(q, encoding=9)


def test_planes_come_from_the_keras_layer(graph, images):
    q = mltq.quantize_model(graph, levels=3)
    tflite = mltq.convert(q, images)
    depthwise = next(p for p in packed_layers(tflite) if p.geometry.kind == 1)
    planes, _ = mltq.ternary_weights(q.get_layer("quant_dw"))
    np.testing.assert_array_equal(depthwise.planes, planes.reshape(3, 9, 8).swapaxes(1, 2))


def test_negative_and_zero_batch_norm_gains(images):
    keras.utils.set_random_seed(9)
    inputs = keras.Input((10, 10, 3))
    x = layers.Conv2D(4, 1)(inputs)
    x = layers.Conv2D(6, 3, name="folded")(x)
    x = layers.BatchNormalization(name="bn")(x)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.ReLU()(x))))
    bn = model.get_layer("bn")
    bn.set_weights([
        np.array([1.5, -0.7, 0.0, -2.0, 0.1, 1.0]),
        np.linspace(-1, 1, 6),
        np.linspace(-0.3, 0.4, 6),
        np.linspace(0.2, 2, 6),
    ])  # fmt: skip
    q = mltq.quantize_model(model)
    tflite = mltq.convert(q, images)
    run_everywhere(q, tflite, images)
    (packed,) = packed_layers(tflite)
    planes, _ = mltq.ternary_weights(q.get_layer("quant_folded"))
    rows = planes.reshape(2, -1, 6).swapaxes(1, 2)
    signs = np.array([1, -1, 0, -1, 1, 1])[None, :, None]
    np.testing.assert_array_equal(packed.planes, rows * signs)
    assert (packed.multipliers >= 0).all()


def test_several_inputs_and_outputs():
    # TensorFlow's converter orders inputs and outputs as it likes.
    keras.utils.set_random_seed(8)
    a, b = keras.Input((6, 6, 2), name="a"), keras.Input((5,), name="b")
    x = layers.Conv2D(4, 3, activation="relu")(layers.Conv2D(4, 1)(a))
    x = layers.concatenate([layers.Flatten()(x), layers.Dense(8)(b)])
    x = layers.Dense(16, activation="relu")(x)
    model = keras.Model([a, b], [layers.Dense(3, name="p")(x), layers.Dense(2, name="q")(x)])
    rng = np.random.default_rng(0)
    data = [
        rng.random((20, 6, 6, 2), dtype=np.float32), rng.normal(size=(20, 5)).astype(np.float32)
    ]  # fmt: skip
    q = mltq.quantize_model(model)
    tflite = mltq.convert(q, lambda: ([u[None], v[None]] for u, v in zip(*data, strict=True)))
    in_keras = q.predict(data, verbose=0)
    assert [details.name for details in mltq.Interpreter(tflite).input_details] == ["a", "b"]
    for x in (data, dict(zip("ab", data, strict=True))):
        for runtime in ("tflm", "litert"):
            interpreter = mltq.Interpreter(tflite, runtime=runtime)
            outputs = interpreter.predict(x)
            assert [value.shape for value in outputs] == [(20, 3), (20, 2)]
            for value, want, details in zip(
                outputs, in_keras, interpreter.output_details, strict=True
            ):
                assert np.abs(value - want).mean() <= 3 * details.scale < np.abs(want).mean() / 3


def test_names_and_structures_that_tensorflow_would_change(images):
    inputs = {"left-image.v2": keras.Input((10, 10, 3), name="left-image.v2")}
    x = layers.Conv2D(4, 3)(layers.Conv2D(4, 1)(inputs["left-image.v2"]))
    x = layers.Flatten()(x)
    model = keras.Model(inputs, {"b": layers.Dense(2)(x), "a": layers.Dense(3)(x)})
    q = mltq.quantize_model(model)
    interpreter = mltq.Interpreter(mltq.convert(q, [{"left-image.v2": images}]))
    assert [details.name for details in interpreter.input_details] == ["left-image.v2"]
    assert [details.shape for details in interpreter.output_details] == [(1, 3), (1, 2)]  # a, b


@pytest.mark.parametrize("framework", ["keras", "tf_keras"])
def test_preprocessing_layers_are_int8(framework):
    module = importlib.import_module(framework)
    own = module.layers
    inputs = module.Input((8, 8, 3))
    x = own.Rescaling(1 / 127.5, -1, name="rescaling")(inputs)
    x = own.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 0.5, 0.1])(x)
    x = own.Conv2D(4, 3, activation="relu")(x)
    x = own.Conv2D(4, 3, activation="relu")(x)
    model = module.Model(inputs, own.Dense(2)(own.Flatten()(x)))
    x = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3)).astype(np.float32)
    q = mltq.quantize_model(model, levels=4)
    tflite = mltq.convert(q, x)
    subgraph = flatbuffer.load(tflite).subgraphs[0]
    assert {int(t.type) for t in subgraph.tensors} <= {3, 2, 9}  # uint8 planes, int32, int8
    reference = model.predict(x, verbose=0)
    on_tflm = mltq.Interpreter(tflite).predict(x)
    on_reference = mltq.Interpreter(tflite, "litert", reference_kernels=True).predict(x)
    np.testing.assert_array_equal(on_tflm, on_reference)
    assert np.abs(on_tflm - reference).mean() < 0.1 * np.abs(reference).mean()


def test_missing_ranges_are_a_clear_error(graph):
    with pytest.raises(ValueError, match="Pass representative_dataset"):
        mltq.convert(mltq.quantize_model(graph))


def test_free_input_sizes_are_a_clear_error():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3)(layers.Conv2D(4, 3)(inputs))
    q = mltq.quantize_model(keras.Model(inputs, layers.Conv2D(2, 1)(x)))
    with pytest.raises(mltq.ConversionError, match="fixed sizes"):
        mltq.convert(q, np.zeros((2, 8, 8, 3), np.float32))


def test_operators_without_int8_form_are_named(images):
    inputs = keras.Input((10, 10, 3))
    x = layers.Conv2D(4, 3)(layers.Conv2D(4, 3)(inputs))
    x = tf.math.erf(x)
    q = mltq.quantize_model(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
    with pytest.raises(mltq.ConversionError, match="Erf"):
        mltq.convert(q, images)
    x = layers.Conv2D(4, 3)(layers.Conv2D(4, 3)(inputs))
    x = tf.math.cumsum(x, axis=1)
    q = mltq.quantize_model(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
    with pytest.warns(UserWarning, match="stay float: CUMSUM"):
        mltq.convert(q, images)


def test_a_layer_that_cannot_be_matched_is_an_error(graph, images):
    from tfmot_mltq.converter.folded_layer import folded_layers
    from tfmot_mltq.converter.stock_int8 import stock_int8
    from tfmot_mltq.layout.frameworks import adapter_of

    q = mltq.quantize_model(graph)
    mltq.calibrate(q, images)
    exported = folded_layers(q, adapter_of(q))
    stock = filter_operators(flatbuffer.load(stock_int8(q, adapter_of(q))))
    assert len(match(exported, stock)) == len(exported)
    name = exported[1].name
    without = [op for op in stock if not op.computes(exported[1])]
    with pytest.raises(mltq.ConversionError, match=f"matches the quantized layers '{name}'"):
        match(exported, without)


def test_two_layers_that_look_the_same_in_int8_are_an_error(graph, images):
    from tfmot_mltq.converter.folded_layer import folded_layers
    from tfmot_mltq.converter.stock_int8 import stock_int8
    from tfmot_mltq.layout.frameworks import adapter_of

    q = mltq.quantize_model(graph, levels=2)
    mltq.calibrate(q, images)
    exported = folded_layers(q, adapter_of(q))
    stock = filter_operators(flatbuffer.load(stock_int8(q, adapter_of(q))))
    twin = dataclasses.replace(exported[0], name="twin", biases=exported[0].biases + 1e-9)
    with pytest.raises(mltq.ConversionError, match="'twin' have different planes"):
        match([*exported, twin], stock)


def test_constants_are_aligned(graph, images):
    tflite = mltq.convert(mltq.quantize_model(graph), images)
    model = flatbuffer.load(tflite)
    contents = [bytes(b.data) for b in model.buffers if b.data is not None and len(b.data) > 16]
    distinctive = [content for content in contents if tflite.count(content) == 1]
    assert len(distinctive) >= 8
    assert [tflite.find(content) % 16 for content in distinctive] == [0] * len(distinctive)
    used = {
        int(index) for op in model.subgraphs[0].operators for index in [*op.inputs, *op.outputs]
    }
    assert used - {-1} == set(range(len(model.subgraphs[0].tensors)))


MODELS = {
    "mobilenet": lambda: keras.applications.MobileNet((96, 96, 3), 0.25, weights=None, classes=10),
    "autoencoder": lambda: keras.Sequential([
        layers.Input((640,)),
        *(
            layer
            for units in (128, 128, 128, 128, 8, 128, 128, 128, 128)
            for layer in (layers.Dense(units), layers.BatchNormalization(), layers.ReLU())
        ),
        layers.Dense(640),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_reference_models(name):
    """Random weights; batch statistics of a few batches, so that activations do not die out."""
    keras.utils.set_random_seed(4)
    model = MODELS[name]()
    x = np.random.default_rng(3).normal(size=(32, *model.input_shape[1:])).astype(np.float32)
    for layer in model.layers:
        layer.momentum = 0.3  # of batch normalisation
    for _ in range(8):
        model(x, training=True)
    q = mltq.quantize_model(model)
    tflite = mltq.convert(q, x)
    on_tflm = mltq.Interpreter(tflite).predict(x[:8])
    on_litert = mltq.Interpreter(tflite, "litert", reference_kernels=True).predict(x[:8])
    np.testing.assert_array_equal(on_tflm, on_litert)
    assert len(np.unique(on_tflm)) > 8
    stock = {"CONV_2D", "MEAN", "FULLY_CONNECTED", "RESHAPE", "SOFTMAX"}
    assert {op for op in operators(tflite) if not op.startswith("MLTQ_")} <= stock
