"""convert checks what it has written, and mltq.debug says where errors begin."""

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from rich.console import Console

import tfmot_mltq as mltq
from tfmot_mltq.command_line.main import main
from tfmot_mltq.converter import check_for_tflm, rewrite_for_tflm
from tfmot_mltq.converter import convert as convert_module
from tfmot_mltq.helpers import flatbuffer
from tfmot_mltq.keras.adapter import ADAPTER
from tfmot_mltq.verification.verify import verify

layers = keras.layers


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(24, 8, 8, 2)).astype(np.float32)


def quantized_model():
    keras.utils.set_random_seed(5)
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(6, 3, activation="relu", name="first")(inputs)
    x = layers.Conv2D(6, 3, activation="gelu", name="second")(x)
    x = layers.Flatten()(layers.AveragePooling2D(2, name="pool")(x))
    return mltq.quantize_model(keras.Model(inputs, layers.Dense(4, name="last")(x)), levels=3)


@pytest.fixture(scope="module")
def q(images):
    q = quantized_model()
    mltq.calibrate(q, images)
    return q


@pytest.fixture(scope="module")
def tflite(q, images):
    return mltq.convert(q, images)


def with_table_changed(tflite):
    """The model with the table of an activation turned around: a wrong operator."""
    model = flatbuffer.load(tflite)
    graph = model.subgraphs[0]
    for operator in graph.operators:
        if flatbuffer.operator_name(model, operator) == "MLTQ_LOOKUP":
            buffer = model.buffers[graph.tensors[operator.inputs[1]].buffer]
            buffer.data = np.asarray(buffer.data)[::-1].copy()
    return flatbuffer.save(model)


def test_a_wrong_operator_is_found_and_named(q, tflite, images):
    wrong = with_table_changed(tflite)
    with pytest.raises(mltq.ConversionError, match=r"(?s)does not compute.*MLTQ_LOOKUP.*'second"):
        verify(q, ADAPTER, wrong, [images], runtime="tflm", tolerance=0.25, seconds=60)
    verify(q, ADAPTER, tflite, [images], runtime="tflm", tolerance=0.25, seconds=60)
    verify(q, ADAPTER, tflite, None, runtime="tflm", tolerance=0.25, seconds=60)  # random inputs


def test_convert_refuses_what_is_wrong(q, images, monkeypatch):
    right = convert_module._int8_operators

    def wrong(*arguments, **options):
        model = right(*arguments, **options)
        return flatbuffer.load(with_table_changed(flatbuffer.save(model)))

    monkeypatch.setattr(convert_module, "_int8_operators", wrong)
    with pytest.raises(mltq.ConversionError, match="verify=False"):
        mltq.convert(q, images)
    mltq.convert(q, images, verify=False)


def test_a_tolerance_that_cannot_be_met(q, images):
    # The fast kernels of LiteRT round once, where TensorFlow's reference kernels round twice.
    x = inputs = keras.Input((8, 8, 2))
    for _ in range(3):
        x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    wide = mltq.quantize_model(keras.Model(inputs, layers.Conv2D(32, 3)(x)))
    with pytest.raises(mltq.ConversionError, match="tolerance 0%"):
        mltq.convert(wide, images, tolerance=0.0)
    mltq.convert(q, images, tolerance=0.02)


def test_a_constant_output_is_refused(images):
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3)(layers.Conv2D(4, 3)(inputs))
    x = layers.Dense(3, kernel_initializer="zeros", name="dead")(layers.Flatten()(x))
    q = mltq.quantize_model(keras.Model(inputs, x))
    with pytest.raises(mltq.ConversionError, match="same for all 8 samples and for random inputs"):
        mltq.convert(q, images)
    mltq.convert(q, images, verify=False)


def test_samples_of_one_class_are_no_constant_output(images):
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3)(layers.Conv2D(4, 3)(inputs))
    x = keras.ops.multiply(layers.Dense(1)(layers.Flatten()(x)), 50.0)
    q = mltq.quantize_model(keras.Model(inputs, layers.Activation("sigmoid")(x)))
    of_one_class = images[q.predict(images, verbose=0)[:, 0] > 0.99]
    assert len(of_one_class) > 2
    mltq.convert(q, of_one_class)


def test_debug_lists_the_worst_operator_first(q, tflite, images, tmp_path):
    errors = mltq.debug(q, with_table_changed(tflite), images, print_table=False)
    first_wrong = min(e["number"] for e in errors if e["snr"] is not None and e["snr"] < 10)
    by_number = {error["number"]: error for error in errors}
    assert by_number[first_wrong]["op"] == "MLTQ_LOOKUP"
    assert by_number[first_wrong]["layer"] == "second_gelu"
    compared = [error["snr"] for error in errors if error["snr"] is not None]
    assert compared == sorted(compared)
    console = Console(width=100, record=True)
    path = tmp_path / "errors.png"
    right = mltq.debug(q, tflite, images, runtime="litert", plot=path, console=console)
    assert len(right) == len(errors) >= 5
    assert all(error["largest"] <= 3 for error in right if error["largest"] is not None)
    assert sum(error["snr"] is not None for error in right) >= len(right) - 1
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "MLTQ_LOOKUP" in console.export_text()


def test_debug_refuses_a_model_without_ranges(tflite, images):
    with pytest.raises(ValueError, match="pass that one"):
        mltq.debug(quantized_model(), tflite, images)


def test_debug_on_the_command_line(q, tflite, images, tmp_path, capsys):
    q.save(tmp_path / "q.keras")
    (tmp_path / "model.tflite").write_bytes(tflite)
    np.save(tmp_path / "x.npy", images)
    files = [str(tmp_path / "q.keras"), str(tmp_path / "model.tflite")]
    assert main(["debug", *files, f"--data={tmp_path}/x.npy"]) == 0
    out = capsys.readouterr().out
    assert "worst first" in out
    assert "second" in out


def test_operators_that_tflm_lacks_are_refused_with_the_way_out():
    inputs = keras.Input((8,))
    x = layers.Dense(6)(layers.Dense(6)(inputs))
    x = keras.ops.top_k(x, 3)[0]
    q = mltq.quantize_model(keras.Model(inputs, layers.Dense(2)(x)))
    x = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    with pytest.raises(mltq.ConversionError, match=r"TOPK_V2.*runtime='litert'"):
        mltq.convert(q, x)
    tflite = mltq.convert(q, x, runtime="litert")
    assert mltq.Interpreter(tflite, "litert").predict(x).shape == (16, 2)


def test_what_tflm_runs_to_wrong_results_is_refused(rng):
    import tensorflow as tf

    class Blocks(layers.Layer):
        def call(self, inputs):
            return tf.space_to_batch(inputs, [2, 2], [[1, 1], [1, 1]])

    inputs = keras.Input((8, 8, 3))
    x = Blocks(name="blocks")(layers.Conv2D(4, 3, padding="same")(inputs))
    q = mltq.quantize_model(keras.Model(inputs, layers.Conv2D(2, 1)(layers.Conv2D(2, 1)(x))))
    images = rng.normal(size=(16, 8, 8, 3)).astype(np.float32)
    with pytest.raises(mltq.ConversionError, match=r"blocks.* SPACE_TO_BATCH_ND that pads"):
        mltq.convert(q, images)


def test_a_required_input_that_is_missing_is_refused(tflite):
    model = flatbuffer.load(tflite)
    operator = model.subgraphs[0].operators[-1]
    operator.inputs = [*operator.inputs[:1], -1, *operator.inputs[2:]]
    with pytest.raises(mltq.ConversionError, match="left out input 1 of FULLY_CONNECTED"):
        check_for_tflm.check_inputs(model)


@pytest.mark.parametrize(
    ("size", "new_size"), [(8, 12), (8, 4), (5, 7), (7, 3), (4, 8), (6, 18), (1, 5), (9, 1)]
)
def test_nearest_pixels_are_those_of_the_kernel(size, new_size):
    """The pixels that are gathered are those that LiteRT's RESIZE_NEAREST_NEIGHBOR picks."""
    rows = np.arange(size, dtype=np.float32).reshape(1, size, 1, 1)
    import tensorflow as tf

    resized = tf.compat.v1.image.resize_nearest_neighbor(
        rows, (new_size, 1), half_pixel_centers=True
    )
    picked = rewrite_for_tflm._nearest(size, new_size, align_corners=False, centres=True)
    np.testing.assert_array_equal(np.asarray(resized).ravel(), picked)


def test_long_concatenations_are_split(rng):
    inputs = keras.Input((6,))
    parts = keras.ops.split(layers.Dense(23)(inputs), 23, axis=-1)
    x = layers.Dense(5, activation="relu")(layers.Concatenate()(parts[::-1]))
    q = mltq.quantize_model(keras.Model(inputs, layers.Dense(2)(x)))
    x = rng.normal(size=(16, 6)).astype(np.float32)
    tflite = mltq.convert(q, x)
    model = flatbuffer.load(tflite)
    counts = [
        len(o.inputs)
        for o in model.subgraphs[0].operators
        if flatbuffer.operator_name(model, o) == "CONCATENATION"
    ]
    assert max(counts) <= 10
    assert np.abs(mltq.Interpreter(tflite).predict(x) - q.predict(x, verbose=0)).max() < 0.1


def test_byte_inputs_become_int8(rng):
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    x = layers.Conv2D(4, 3, activation="relu")(layers.Conv2D(4, 3, activation="relu")(x))
    q = mltq.quantize_model(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))))
    x = rng.integers(0, 256, (16, 8, 8, 3)).astype(np.uint8)
    interpreter = mltq.Interpreter(mltq.convert(q, x))
    (details,) = interpreter.input_details
    assert (details.dtype, details.scale, details.zero_point) == (np.int8, 1.0, -128)
    step = interpreter.output_details[0].scale
    assert np.abs(interpreter.predict(x) - q.predict(x, verbose=0)).max() <= 3.01 * step


def test_elementwise_functions_are_one_operator(rng):
    inputs = keras.Input((9,))
    x = layers.Dense(8, name="before")(inputs)
    x = layers.BatchNormalization(name="norm")(layers.Activation("softplus")(x))
    model = keras.Model(inputs, layers.Dense(3)(layers.Dense(6)(x)))
    model.get_layer("norm").set_weights([
        np.array([1.0, -2.0, 0.0, 0.1, 5.0, 1e-9, -0.5, 2.0]), np.linspace(-1, 1, 8),
        np.linspace(-0.3, 0.4, 8), np.linspace(0.2, 2, 8),
    ])  # fmt: skip
    q = mltq.quantize_model(model)
    x = rng.normal(size=(32, 9)).astype(np.float32)
    tflite = mltq.convert(q, x)
    loaded = flatbuffer.load(tflite)
    ops = [flatbuffer.operator_name(loaded, o) for o in loaded.subgraphs[0].operators]
    assert ops == [
        "FULLY_CONNECTED", "MLTQ_LOOKUP", "RESHAPE", "DEPTHWISE_CONV_2D", "RESHAPE",
        "MLTQ_FULLY_CONNECTED", "FULLY_CONNECTED",
    ]  # fmt: skip
    types = {t.type for t in loaded.subgraphs[0].tensors}
    assert schema.TensorType.FLOAT32 not in types
    step = mltq.Interpreter(tflite).output_details[0].scale
    error = np.abs(mltq.Interpreter(tflite).predict(x) - q.predict(x, verbose=0)).max()
    assert error <= 3.01 * step


@pytest.mark.parametrize("tolerance", ["a", -1, float("nan"), float("inf"), True])
def test_a_tolerance_is_a_share(q, images, tolerance):
    with pytest.raises(ValueError, match="tolerance must be 0 or more"):
        mltq.convert(q, images, tolerance=tolerance)


def test_steps_of_a_shared_layer_are_not_mixed_up():
    layers = keras.layers
    keras.utils.set_random_seed(4)
    inputs = keras.Input((5, 4))
    model = keras.Model(inputs, layers.Dense(2)(layers.GRU(6)(layers.Dense(4)(inputs))))
    x = np.random.default_rng(0).normal(size=(40, 5, 4)).astype(np.float32)
    q = mltq.quantize_model(model)
    errors = mltq.debug(q, mltq.convert(q, x), x[:8], print_table=False)
    assert max(error["largest"] or 0 for error in errors) <= 3
