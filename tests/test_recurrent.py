"""Recurrent layers: right on both runtimes, state and all, or refused with the reason."""

import importlib

import numpy as np
import pytest
from structures import randomise, with_levels

import tfmot_mltq as mltq
from tfmot_mltq.helpers import flatbuffer
from tfmot_mltq.layout.frameworks import adapter_of
from tfmot_mltq.layout.recurrent import MAX_STEPS, expand_recurrent

SERIES = (12, 4)
SHORT = (7, 4)  # 3 steps behind the convolutions: writing steps out takes time
FRAMEWORKS = ("keras", "tf_keras")

pytestmark = pytest.mark.filterwarnings("ignore:Layer .* stays int8")


def samples(shape=SERIES, count=32):
    return np.random.default_rng(1).normal(size=(count, *shape)).astype(np.float32)


def build(keras, body, shape=SERIES):
    """A model with random weights around a recurrent layer."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    model = keras.Model(inputs, body(keras, inputs))
    randomise(model, np.random.default_rng(3))
    return model


def stem(keras, x):
    x = keras.layers.Conv1D(8, 3, activation="relu")(x)
    return keras.layers.Conv1D(8, 3, activation="relu", name="levels")(x)


def lstm(keras, x):
    return keras.layers.Dense(3)(keras.layers.LSTM(6)(stem(keras, x)))


def lstm_as_output(keras, x):
    return keras.layers.LSTM(4, return_sequences=True, go_backwards=True, use_bias=False)(x)


def bidirectional_lstm(keras, x):
    layers = keras.layers
    x = layers.Bidirectional(layers.LSTM(5, return_sequences=True))(stem(keras, x))
    x = layers.TimeDistributed(layers.Dense(6, activation="relu"))(x)
    return layers.Dense(3)(layers.LSTM(4)(x))


def lstm_beside_convolutions(keras, x):
    layers = keras.layers
    x = stem(keras, x)
    x = layers.Concatenate()([layers.LSTM(6)(x), layers.GlobalMaxPooling1D()(x)])
    return layers.Dense(3)(x)


def images_over_time(keras, x):
    layers = keras.layers
    x = layers.TimeDistributed(layers.Conv2D(3, 3, activation="relu"))(x)
    x = layers.TimeDistributed(layers.Flatten())(x)
    return layers.Dense(3)(layers.LSTM(4)(x))


def stack_of_cells(keras, x):
    layers = keras.layers
    cells = [layers.LSTMCell(5), layers.GRUCell(4, reset_after=False)]
    return layers.Dense(3)(layers.RNN(cells)(stem(keras, x)))


def gru(keras, x):
    layers = keras.layers
    x = layers.GRU(5, return_sequences=True, go_backwards=True)(stem(keras, x))
    return layers.Dense(3)(layers.Flatten()(x))


def simple_rnn(keras, x):
    return keras.layers.Dense(3)(keras.layers.SimpleRNN(6)(stem(keras, x)))


def bidirectional_simple_rnn(keras, x):
    layers = keras.layers
    x = layers.Bidirectional(layers.SimpleRNN(6, return_sequences=True))(stem(keras, x))
    return layers.Dense(3)(layers.SimpleRNN(5, activation="relu")(x))


def operators(tflite):
    model = flatbuffer.load(tflite)
    subgraph = model.subgraphs[0]
    assert len(model.subgraphs) == 1
    return [
        (flatbuffer.operator_name(model, op), subgraph.tensors[op.outputs[0]].type)
        for op in subgraph.operators
    ]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("body", "shape", "lstms"),
    [
        (lstm, SERIES, 1),
        (lstm_as_output, SERIES, 1),
        (bidirectional_lstm, SERIES, 3),
        (lstm_beside_convolutions, SERIES, 1),
        (images_over_time, (5, 6, 6, 2), 1),
        (gru, SHORT, 0),
        (bidirectional_simple_rnn, SHORT, 0),
    ],
)
def test_every_sample_gives_what_keras_gives(framework, body, shape, lstms):
    model = build(importlib.import_module(framework), body, shape)
    x = samples(shape)
    q = mltq.quantize_model(model)
    tflite = mltq.convert(q, x)
    found = operators(tflite)
    assert [name for name, _ in found].count("UNIDIRECTIONAL_SEQUENCE_LSTM") == lstms
    assert {kind for _, kind in found} == {9}  # int8
    in_keras = q.predict(x, verbose=0)
    for runtime in ("tflm", "litert"):
        interpreter = mltq.Interpreter(tflite, runtime)
        out = interpreter.predict(x)
        error = np.abs(out - in_keras) / interpreter.output_details[0].scale
        # LiteRT's default kernels round sums once, and these recurrent weights amplify that.
        assert error.max() <= (3.01 if runtime == "tflm" else 5.01)
        assert error.mean() <= 0.6
        assert np.abs(in_keras).mean() > 10 * interpreter.output_details[0].scale
        np.testing.assert_array_equal(interpreter.predict(x[[5, 5, 5]]), out[[5, 5, 5]])


@pytest.mark.parametrize("factor", [0.05, 100.0])
def test_cells_of_any_size(factor):
    # TensorFlow gives small cells a scale that LiteRT does not compute with, and cuts large ones.
    keras = importlib.import_module("keras")
    model = build(keras, lambda keras, x: keras.layers.LSTM(4)(x), (90, 4))
    kernel, recurrent, bias = (0.05 * value for value in model.get_weights())
    bias[:12] = 0.1 * factor  # of what is added, and how much is kept
    model.set_weights([kernel, recurrent, bias])
    q = mltq.quantize_model(model)
    x = samples((90, 4), 8)
    tflite = mltq.convert(q, x)
    loaded = flatbuffer.load(tflite)
    (lstm_operator,) = (op for op in loaded.subgraphs[0].operators if len(op.inputs) > 20)
    cell = loaded.subgraphs[0].tensors[lstm_operator.inputs[19]]
    assert 2.0**-15 <= cell.quantization.scale[0] <= 2.0**-9
    assert lstm_operator.builtinOptions.cellClip == 0
    for runtime in ("tflm", "litert"):
        interpreter = mltq.Interpreter(tflite, runtime)
        error = np.abs(interpreter.predict(x) - q.predict(x, verbose=0))
        assert error.max() <= 5.01 * interpreter.output_details[0].scale


def test_invoke_keeps_the_state_until_reset():
    keras = importlib.import_module("keras")
    x = samples()
    tflite = mltq.convert(mltq.quantize_model(build(keras, lstm)), x)
    for runtime in ("tflm", "litert"):
        interpreter = mltq.Interpreter(tflite, runtime)
        one = interpreter.input_details[0].quantize(x[:1])
        (first,), (second,) = interpreter.invoke(one), interpreter.invoke(one)
        assert np.any(first != second)
        interpreter.reset()
        np.testing.assert_array_equal(interpreter.invoke(one)[0], first)


def gru_before(keras, x):
    return keras.layers.GRU(5, reset_after=False, go_backwards=True)(x)


def gru_without_bias(keras, x):
    return keras.layers.GRU(5, use_bias=False, return_sequences=True)(x)


def lstm_with_other_activations(keras, x):
    return keras.layers.LSTM(5, activation="relu", recurrent_activation="hard_sigmoid")(x)


def two_kinds_in_two_directions(keras, x):
    layers = keras.layers
    backward = layers.SimpleRNN(4, return_sequences=True, go_backwards=True)
    return layers.Bidirectional(
        layers.GRU(4, return_sequences=True), merge_mode="ave", backward_layer=backward
    )(x)


def one_layer_called_twice(keras, x):
    gru = keras.layers.GRU(4, return_sequences=True)
    return gru(gru(x))


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    "body",
    [
        bidirectional_lstm,
        stack_of_cells,
        bidirectional_simple_rnn,
        gru,
        gru_before,
        gru_without_bias,
        lstm_with_other_activations,
        two_kinds_in_two_directions,
        one_layer_called_twice,
    ],
)
def test_written_out_layers_compute_the_same(framework, body):
    model = build(importlib.import_module(framework), body, SHORT)
    expanded = expand_recurrent(model, adapter_of(model).graphs)
    assert not any("RNN" in type(layer).__name__ for layer in expanded.layers)
    parts = {layer.name for layer in expanded.layers} - {layer.name for layer in model.layers}
    assert parts
    assert not parts & with_levels(model)
    x = samples(SHORT, 6)
    np.testing.assert_allclose(np.asarray(expanded(x)), np.asarray(model(x)), atol=2e-6)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_quantized_recurrent_models_train_and_load(framework, tmp_path):
    keras = importlib.import_module(framework)
    q = mltq.quantize_model(build(keras, simple_rnn, SHORT))
    x = samples(SHORT)
    q.compile(keras.optimizers.Adam(0.01), "mse")
    losses = q.fit(x, x[:, 0, :3], 16, 6, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    (entry,) = mltq.summary(q, print_table=False)["layers"]
    assert entry["name"].removeprefix("quant_") == "levels"
    q.save(tmp_path / "q.keras")
    loaded = keras.models.load_model(tmp_path / "q.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), q.predict(x, verbose=0), atol=1e-5)


def stateful(keras, x):
    return keras.layers.LSTM(4, stateful=True, name="memory")(x)


def with_initial_state(keras, x):
    start = keras.layers.Dense(4)(keras.layers.Flatten()(x))
    return keras.layers.GRU(4, name="memory")(x, initial_state=start)


def with_returned_state(keras, x):
    return keras.layers.LSTM(4, return_state=True, name="memory")(x)[2]


def too_long(keras, x):
    x = keras.layers.UpSampling1D(10)(x)
    return keras.layers.GRU(4, name="memory")(x)


def convolutional(keras, x):
    x = keras.layers.Reshape((12, 4, 1))(x)
    return keras.layers.ConvLSTM1D(2, 3, name="memory")(x)


def own_cell(keras, x):
    class Decay(keras.layers.Layer):
        state_size = output_size = 4

        def call(self, inputs, states):
            state = 0.5 * states[0] + inputs
            return state, [state]

    return keras.layers.RNN(Decay(), name="memory")(x)


REFUSED = {
    with_initial_state: "Layer 'memory' .*initial state.*on the sequence alone",
    with_returned_state: "Layer 'memory' .*return_state=True.*return_sequences=True",
    too_long: f"Layer 'memory' .*at most {MAX_STEPS} steps, and has 120: use an LSTM",
    convolutional: "Layer 'memory' .*recurrent convolution: use TimeDistributed convolutions",
    own_cell: "Layer 'memory' .*class Decay: use LSTMCell, GRUCell or SimpleRNNCell",
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("body", list(REFUSED))
def test_refusals_name_the_layer_and_the_way_out(framework, body):
    q = mltq.quantize_model(build(importlib.import_module(framework), body))
    with pytest.raises(mltq.ConversionError, match=REFUSED[body]):
        mltq.convert(q, samples())


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_stateful_layers_are_refused(framework):
    keras = importlib.import_module(framework)
    inputs = keras.Input(batch_shape=(4, *SERIES))
    q = mltq.quantize_model(keras.Model(inputs, stateful(keras, inputs)))
    with pytest.raises(mltq.ConversionError, match=r"'memory' .*it is stateful.*stateful=False"):
        mltq.convert(q, [samples()[:4]])


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_masks_are_refused(framework):
    layers = importlib.import_module(framework).layers

    def body(keras, x):
        x = layers.Flatten()(x)
        return layers.LSTM(4)(layers.Embedding(10, 5, mask_zero=True, name="words")(x))

    q = mltq.quantize_model(build(importlib.import_module(framework), body))
    with pytest.raises(mltq.ConversionError, match=r"Layer 'lstm.*' .*mask of 'words'"):
        mltq.convert(q, np.abs(samples()))


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("features", [4, 40])  # TensorFlow writes large kernels in another way.
def test_an_lstm_is_simulated_to_a_step(framework, features):
    keras = importlib.import_module(framework)

    def body(keras, x):
        return keras.layers.LSTM(max(6, features), return_sequences=True)(x)

    shape = (12, features)
    q = mltq.quantize_model(build(keras, body, shape))
    x = samples(shape, 100)
    x[::10] *= 3
    mltq.calibrate(q, x)
    tflite = mltq.convert(q)  # All ranges are in the model.
    assert {kind for _, kind in operators(tflite)} == {9}  # int8
    in_keras = q.predict(x, verbose=0)
    for runtime in ("tflm", "litert"):
        options = {"reference_kernels": True} if runtime == "litert" else {}
        interpreter = mltq.Interpreter(tflite, runtime, **options)
        error = np.abs(interpreter.predict(x) - in_keras) / interpreter.output_details[0].scale
        assert error.max() <= 1.01
        assert (error > 0.5).mean() < 0.05


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_lstms_train_load_and_strip(framework, tmp_path):
    keras = importlib.import_module(framework)

    def body(keras, x):
        layers = keras.layers
        x = layers.LSTM(6, return_sequences=True, dropout=0.1, recurrent_dropout=0.1)(x)
        return layers.Dense(3)(layers.LSTM(6, go_backwards=True)(x))

    model = build(keras, body)
    q = mltq.quantize_model(model)
    x = samples()
    q.compile(keras.optimizers.Adam(0.01), "mse")
    lstms = [layer for layer in q.layers if "LSTM" in type(layer).__name__]
    before = [layer.get_weights() for layer in lstms]
    losses = q.fit(x, 3 * x[:, 0, :3], 16, 12, verbose=0).history["loss"]
    assert losses[-1] < 0.95 * losses[0]
    # Gradients reach kernels, recurrent kernels and biases; and the ranges move.
    for layer, weights in zip(lstms, before, strict=True):
        assert all(np.any(a != b) for a, b in zip(weights, layer.get_weights(), strict=True))
    q.save(tmp_path / "q.keras")
    loaded = keras.models.load_model(tmp_path / "q.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), q.predict(x, verbose=0), atol=1e-6)
    plain = mltq.strip(q)
    assert [type(a) for a in plain.layers] == [type(a) for a in model.layers]
    stripped = [layer for layer in plain.layers if type(layer).__name__ == "LSTM"]
    for old, new in zip(lstms, stripped, strict=True):
        weights = zip(old.cell.get_weights(), new.cell.get_weights(), strict=True)
        for weight, rounded in weights:
            np.testing.assert_allclose(rounded, weight, atol=np.abs(weight).max() / 250)
    interpreter = mltq.Interpreter(mltq.convert(loaded))
    step = interpreter.output_details[0].scale
    assert np.abs(interpreter.predict(x) - q.predict(x, verbose=0)).max() <= 3.01 * step


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_written_out_steps_are_exact_where_rounding_would_grow(framework):
    # An LSTM without a bound, with recurrent weights above 1: what differs in one step explodes.
    keras = importlib.import_module(framework)

    def body(keras, x):
        return keras.layers.Dense(3)(keras.layers.LSTM(5, activation="relu")(x))

    model = build(keras, body, (8, 4))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape).astype(np.float32) for w in model.get_weights()])
    x = samples((8, 4), 300)
    q = mltq.quantize_model(model)
    interpreter = mltq.Interpreter(mltq.convert(q, x[:100]))
    error = np.abs(interpreter.predict(x) - q.predict(x, verbose=0))
    assert error.max() <= 1.01 * interpreter.output_details[0].scale


def test_an_lstm_with_an_initial_state_is_float():
    keras = importlib.import_module("keras")

    def body(keras, x):
        start = [keras.layers.Dense(4)(keras.layers.Flatten()(x)) for _ in range(2)]
        return keras.layers.LSTM(4)(x, initial_state=start)

    model = build(keras, body)
    q = mltq.quantize_model(model)
    x = samples()
    difference = np.asarray(q(x)) - np.asarray(model(x))
    assert np.abs(difference).max() < 0.1


def test_ranges_of_an_lstm_from_tensorflow_are_not_taken():
    # Attention makes TensorFlow calibrate, and make the LSTM int8 by itself.
    keras = importlib.import_module("keras")

    def body(keras, x):
        layers = keras.layers
        x = layers.LSTM(6, return_sequences=True, name="memory")(x)
        return layers.Dense(3)(layers.Flatten()(keras.ops.cumsum(x * x, 1)))

    q = mltq.quantize_model(build(keras, body))
    x = samples()
    with pytest.warns(UserWarning, match="stay float: .*CUMSUM"):
        tflite = mltq.convert(q, x, runtime="litert")
    subgraph = flatbuffer.load(tflite).subgraphs[0]
    (lstm_operator,) = (op for op in subgraph.operators if len(op.inputs) > 20)
    ranges = q.get_layer("memory").ranges()
    scale = subgraph.tensors[lstm_operator.outputs[0]].quantization.scale[0]
    assert scale == pytest.approx((ranges.hidden_max - ranges.hidden_min) / 255)


def test_a_gru_needs_none_after_training():
    q = mltq.quantize_model(build(importlib.import_module("keras"), gru_without_bias, (4, 4)))
    x = samples((4, 4))
    mltq.calibrate(q, x)
    interpreter = mltq.Interpreter(mltq.convert(q))
    error = np.abs(interpreter.predict(x) - q.predict(x, verbose=0))
    assert error.max() <= 4.01 * interpreter.output_details[0].scale
