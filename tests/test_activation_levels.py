"""Multi-level activations: the mathematics, tf_keras models, conversion, two-sided figures."""

import numpy as np
import pytest
import tf_keras as keras
from packed_layers import packed_operators, packed_sizes

import tfmot_mltq as mltq
from tfmot_mltq.mathematics import activation_levels
from tfmot_mltq.packing.encodings import BITS
from tfmot_mltq.packing.encodings.bits import BIT_PLANES

KINDS = ("ternary", "binary")


def nothing(x):
    return x


def random_levels(rng, levels, kind):
    base = np.sort(rng.uniform(0.1, 2.0, levels))[::-1].astype(np.float32)
    factors = rng.uniform(0.8, 1.2, levels).astype(np.float32)
    thresholds = rng.uniform(0.3, 0.7, levels).astype(np.float32)
    return base, factors, thresholds


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_training_and_operator_compute_the_same_value(levels, kind, rng):
    base, factors, thresholds = random_levels(rng, levels, kind)
    fixed = activation_levels.fixed_levels(base, factors, thresholds, kind)
    assert fixed.counts.sum() <= 127
    x = rng.normal(0, 1.5, (40, 7)).astype(np.float32)
    scales = activation_levels.trained_scales(base, factors, np, nothing)
    trained = activation_levels.trained_value(x, scales, thresholds, kind, np, nothing)
    planes = fixed.planes(x)
    assert set(np.unique(planes)) <= ({-1, 0, 1} if kind == "ternary" else {-1, 1})
    exact = fixed.step * np.tensordot(fixed.counts.astype(np.int64), planes, 1)
    np.testing.assert_allclose(trained, exact, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_is_the_function_on_int8(kind, rng):
    fixed = activation_levels.fixed_levels(*random_levels(rng, 3, kind), kind)
    table = fixed.table(0.03, -20)
    x = np.float32(0.03) * np.arange(-108, 148)
    np.testing.assert_array_equal(table.planes, fixed.planes(x))
    assert np.abs(table.values).max() <= 127
    if kind == "ternary":
        assert table.values[128 - 20] == 0
        np.testing.assert_array_equal(np.sort(table.values), table.values)


@pytest.mark.parametrize("kind", KINDS)
def test_more_levels_leave_less(kind, rng):
    x = np.abs(rng.normal(0, 1, (16, 500))).astype(np.float32)
    errors = []
    for levels in (1, 2, 3, 4):
        base = activation_levels.starting_scales(x, levels, kind, np)
        scales = activation_levels.trained_scales(base, np.ones_like(base), np, nothing)
        thresholds = np.full_like(base, activation_levels.INITIAL_THRESHOLD)
        value = activation_levels.trained_value(x, scales, thresholds, kind, np, nothing)
        errors.append(np.mean((x - value) ** 2))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1 * np.mean(x**2)


def test_penalty_counts_entries_and_pushes_thresholds(rng):
    import tensorflow as tf
    import tensorflow.experimental.numpy as tnp

    base, factors, thresholds = random_levels(rng, 3, "ternary")
    x = tf.constant(rng.normal(0, 1, (40, 7)).astype(np.float32))
    scales = activation_levels.trained_scales(base, factors, np, nothing)
    thresholds = tf.constant(thresholds)
    with tf.GradientTape() as tape:
        tape.watch([x, thresholds])
        share = activation_levels.nonzero_share(
            x, tf.constant(scales), thresholds, tnp, tf.stop_gradient
        )
    fixed = activation_levels.fixed_levels(base, factors, thresholds.numpy(), "ternary")
    planes = fixed.planes(x.numpy())
    assert float(share) == pytest.approx(np.mean(planes != 0), abs=1e-6)
    to_x, to_thresholds = tape.gradient(share, [x, thresholds])
    assert (to_thresholds.numpy() < 0).all()  # a descent raises them
    assert np.mean(to_x.numpy() * x.numpy()) > 0  # and makes activations smaller


@pytest.mark.parametrize(
    "wrong",
    [
        {"activation_sparsity_penalty": -1.0, "activation_levels": 1},
        {"activation_sparsity_penalty": float("nan"), "activation_levels": 1},
        {"activation_sparsity_penalty": 0.1},
        {"activation_sparsity_penalty": 0.1, "activation_levels": 1, "kind": "binary"},
    ],
)
def test_penalties_that_there_are_not(wrong):
    layer = keras.layers.Dense(3)
    with pytest.raises(ValueError, match="sparsity_penalty"):
        mltq.quantize_annotate_layer(layer, **wrong)


def test_penalty_makes_activations_sparse(images):
    shares = []
    for weight in (0.0, 3.0):
        keras.utils.set_random_seed(1)
        q = mltq.quantize_model(
            network(), levels=2, activation_levels=2, activation_sparsity_penalty=weight
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        q.compile(keras.optimizers.Adam(1e-2), loss)
        q.fit(images, np.arange(32) % 4, batch_size=8, epochs=6, verbose=0)
        total = mltq.summary(q, images, print_table=False)["total"]
        shares.append(total["activation_density"])
    assert shares[1] < 0.7 * shares[0]


def test_layers_of_several_tensors_get_no_levels():
    with pytest.raises(mltq.UnsupportedModelError, match="cannot be quantized to levels"):
        mltq.quantize_annotate_layer(keras.layers.Add(), activation_levels=2)


def test_a_layer_that_reads_two_tensors_in_turn(images):
    """Its activations have one set of scales, and each call a table for its own input."""
    layers = keras.layers
    inputs = keras.Input((9, 8, 3))
    shared = layers.Conv2D(8, 3, padding="same", activation="relu", name="shared")
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(inputs)
    x = shared(shared(x))
    model = keras.Model(inputs, layers.Dense(4, name="head")(layers.Flatten()(x)))
    q = mltq.quantize_model(model, levels=2, activation_levels=2)
    mltq.calibrate(q, images)
    tflite = mltq.convert(q)
    answers = q.predict(images, verbose=0)
    on_tflm = mltq.Interpreter(tflite).predict(images)
    assert np.corrcoef(on_tflm.ravel(), answers.ravel())[0, 1] > 0.95


def test_scratch_above_the_limit_is_refused(trained):
    with pytest.raises(mltq.ConversionError, match=r"needs [\d,]+ bytes of scratch on cortex-m4"):
        mltq.convert(trained, max_scratch_bytes=40)
    tflite = mltq.convert(trained, max_scratch_bytes=100_000)
    assert tflite == mltq.convert(trained)


def families(tflite):
    """Whether each layer of a model is for the bitwise kernel."""
    return {
        name: set(operator.encodings) <= set(BITS)
        for name, operator in packed_operators(tflite).items()
    }


def test_both_families_give_the_same_bytes(trained, images):
    """Binary planes take fewest bytes as bits; ternary ones are forced, except depthwise."""
    kind = trained.get_layer("ternarize_conv").kind
    smallest = mltq.convert(trained)
    adding = mltq.convert(trained, encoding=0)
    assert families(smallest) == {
        name: kind == "binary" and name != "quant_dw" for name in families(adding)
    }
    assert not any(families(adding).values())
    expected = mltq.Interpreter(adding).predict(images)
    np.testing.assert_array_equal(mltq.Interpreter(smallest).predict(images), expected)
    with pytest.raises(mltq.ConversionError, match=r"'quant_dw': .*no depthwise filter"):
        mltq.convert(trained, encoding=BIT_PLANES.code)


def test_ternary_bit_planes_in_the_runtimes(images):
    layers = keras.layers
    model = keras.Sequential([
        keras.Input((9, 8, 3)),
        layers.Conv2D(40, 3, activation="relu", name="stem"),
        layers.Conv2D(8, 3, padding="same", activation="relu", name="conv"),
        layers.Flatten(),
        layers.Dense(4, name="head"),
    ])  # fmt: skip
    q = mltq.quantize_model(model, levels=3, activation_levels=2, include_last_layer=True)
    mltq.calibrate(q, images)
    bits = mltq.convert(q, encoding=BIT_PLANES.code)
    assert all(families(bits).values())
    expected = mltq.Interpreter(mltq.convert(q, encoding=6)).predict(images)
    np.testing.assert_array_equal(mltq.Interpreter(bits).predict(images), expected)
    on_litert = mltq.Interpreter(bits, "litert", reference_kernels=True).predict(images)
    np.testing.assert_array_equal(on_litert, expected)


@pytest.mark.parametrize("levels", [-1, 5, 1.5, True])
def test_numbers_of_levels_that_there_are_not(levels):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="activation_levels must be an integer from 0 to 4"):
        mltq.quantize_model(model, activation_levels=levels)


def test_binary_levels_cannot_be_padded_before():
    layers = [keras.layers.Conv1D(4, 3, padding="causal") for _ in range(3)]
    model = keras.Sequential([keras.Input((8, 2)), *layers])
    with pytest.raises(mltq.UnsupportedModelError, match="no zero to pad with"):
        mltq.quantize_model(model, kind="binary", activation_levels=2)
    assert mltq.quantize_model(model, activation_levels=2) is not None


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((32, 9, 8, 3), dtype=np.float32)


def network():
    layers = keras.layers
    inputs = keras.Input((9, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(inputs)
    y = layers.Conv2D(8, 3, padding="same", activation="relu", name="conv")(x)
    x = layers.Add()([x, layers.DepthwiseConv2D(3, padding="same", name="dw")(y)])
    x = layers.Conv2D(12, 3, strides=2, activation="relu6", name="down")(x)
    x = layers.Dense(16, activation="relu", name="fc")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(4, name="head")(x))


@pytest.fixture(scope="module", params=KINDS)
def trained(request, images):
    keras.utils.set_random_seed(1)
    q = mltq.quantize_model(network(), levels=2, kind=request.param, activation_levels=2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    q.compile(keras.optimizers.Adam(1e-2), loss)
    q.fit(images, np.arange(32) % 4, batch_size=8, epochs=3, verbose=0)
    return q


def test_scales_and_thresholds_are_trained(trained):
    layer = trained.get_layer("ternarize_fc")
    assert np.abs(layer.factors.numpy() - 1).min() > 1e-4
    moved = np.abs(layer.thresholds.numpy() - activation_levels.INITIAL_THRESHOLD).min() > 1e-4
    assert moved == (layer.kind == "ternary")


def test_runtimes_give_the_same_bytes(trained, images):
    tflite = mltq.convert(trained)
    on_tflm = mltq.Interpreter(tflite).predict(images)
    on_litert = mltq.Interpreter(tflite, "litert", reference_kernels=True).predict(images)
    np.testing.assert_array_equal(on_tflm, on_litert)
    answers = trained.predict(images, verbose=0)
    assert np.corrcoef(on_tflm.ravel(), answers.ravel())[0, 1] > 0.95


def test_saved_models_come_back(trained, images, tmp_path):
    trained.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict(images, verbose=0), trained.predict(images, verbose=0)
    )
    assert mltq.convert(loaded) == mltq.convert(trained)


def test_float_networks_convert_without_training(images):
    q = mltq.quantize_model(network(), levels=3, activation_levels=3)
    tflite = mltq.convert(q, images)
    assert mltq.Interpreter(tflite).predict(images[:2]).shape == (2, 4)


def test_two_sided_figures_count_bits_of_both_sides(trained, images):
    figures = mltq.summary(trained, images, print_table=False)
    entry = next(layer for layer in figures["layers"] if layer["name"] == "quant_fc")
    maker = trained.get_layer("ternarize_fc")
    inner = keras.Model(trained.inputs, maker.input)
    bits = np.abs(maker.activation_levels().planes(inner.predict(images, verbose=0))).sum(0)
    planes, _ = mltq.ternary_weights(trained.get_layer("quant_fc"))
    weights = np.abs(planes).sum(0)
    products = 2 * bits.size * weights.shape[1]
    if maker.kind == "binary":
        assert entry["potential_speedup_bit_two_sided"] == 1
    else:
        met = np.sum(bits @ weights)
        assert entry["potential_speedup_bit_two_sided"] == pytest.approx(2 * products / met)
        words = np.sum((bits > 0).astype(int) @ (weights > 0).astype(int))
        assert entry["potential_speedup_word_two_sided"] == pytest.approx(2 * products / words)
    assert entry["activation_density"] == pytest.approx(bits.mean() / 2)
    assert entry["activation_levels"] == 2


def test_bytes_of_the_tables_are_counted(trained):
    """A table may be in the layer that makes the input."""
    sizes = packed_sizes(mltq.convert(trained))
    layers = mltq.summary(trained, print_table=False)["layers"]
    assert {layer["name"] for layer in layers} == set(sizes)
    assert sum(layer["flash_bytes"] for layer in layers) == sum(sizes.values())


def test_levels_are_passed_on_where_one_layer_reads_another(images):
    layers = keras.layers
    inputs = keras.Input((9, 8, 3))
    x = layers.Conv2D(8, 3, activation="relu", name="stem")(inputs)
    x = layers.Conv2D(8, 3, activation="relu", name="a")(x)  # its input is made by a stock layer
    x = layers.Conv2D(8, 3, activation="relu", name="b")(x)
    y = layers.Conv2D(8, 3, padding="same", name="c")(x)  # b has two readers
    x = layers.Add()([x, y])
    x = layers.Conv2D(8, 2, name="d")(x)  # an addition is no such layer
    x = layers.Dense(6, name="e")(layers.Flatten()(x))
    model = keras.Model(inputs, layers.Dense(4, name="head")(x))
    q = mltq.quantize_model(model, levels=2, activation_levels=2)
    mltq.calibrate(q, images)
    tflite = mltq.convert(q)
    packed = {name: operator.layer for name, operator in packed_operators(tflite).items()}
    assert {name for name, layer in packed.items() if layer.activation_table is not None} == {
        f"quant_{name}" for name in "acd"
    }
    assert {
        name for name, layer in packed.items() if layer.output_activation_table is not None
    } == {f"quant_{name}" for name in "ad"}
    answers = q.predict(images, verbose=0)
    on_tflm = mltq.Interpreter(tflite).predict(images)
    assert np.corrcoef(on_tflm.ravel(), answers.ravel())[0, 1] > 0.95
    on_litert = mltq.Interpreter(tflite, "litert", reference_kernels=True).predict(images)
    np.testing.assert_array_equal(on_litert, on_tflm)
