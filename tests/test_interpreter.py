import subprocess
import sys

import numpy as np
import pytest
import tf_keras as keras

import tfmot_mltq as mltq
from tfmot_mltq.helpers import flatbuffer
from tfmot_mltq.packing.format import FORMAT_VERSION
from tfmot_mltq.runtime import operator_library, tflm

layers = keras.layers


@pytest.fixture(scope="module")
def tflite():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        layers.Input((6, 6, 2)),
        layers.Conv2D(4, 3, activation="relu"),
        layers.DepthwiseConv2D(3, activation="relu"),
        layers.Flatten(),
        layers.Dense(5, activation="relu"),
        layers.Dense(3),
    ])  # fmt: skip
    q = mltq.quantize_model(model)
    return mltq.convert(q, np.random.default_rng(0).random((20, 6, 6, 2), dtype=np.float32))


@pytest.fixture
def x(rng):
    return rng.random((5, 6, 6, 2), dtype=np.float32)


def test_a_path_serves_as_well_as_bytes(tflite, x, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite)
    expected = mltq.Interpreter(tflite).predict(x)
    for model in (path, str(path), bytearray(tflite)):
        np.testing.assert_array_equal(mltq.Interpreter(model).predict(x), expected)


def test_integers_are_taken_as_they_are(tflite, x):
    interpreter = mltq.Interpreter(tflite)
    quantized = interpreter.input_details[0].quantize(x)
    assert quantized.dtype == np.int8
    np.testing.assert_array_equal(interpreter.predict(quantized), interpreter.predict(x))
    (raw,) = interpreter.invoke(quantized[:1])
    assert raw.dtype == np.int8
    details = interpreter.output_details[0]
    np.testing.assert_array_equal(details.dequantize(raw), interpreter.predict(x[:1]))


def test_empty_batches_give_empty_results(tflite):
    assert mltq.Interpreter(tflite).predict(np.zeros((0, 6, 6, 2))).shape == (0, 3)


def test_the_arena_is_what_tflm_reports(tflite):
    arena = mltq.Interpreter(tflite).arena_bytes
    assert 1000 < arena < 10_000
    with pytest.raises(AttributeError, match="tflm"):
        _ = mltq.Interpreter(tflite, "litert").arena_bytes


def test_bad_calls_are_refused(tflite, x):
    with pytest.raises(ValueError, match="runtime must be one of"):
        mltq.Interpreter(tflite, "onnx")
    with pytest.raises(ValueError, match="reference_kernels is for"):
        mltq.Interpreter(tflite, "tflm", reference_kernels=True)
    with pytest.raises(ValueError, match="identifier 'TFL3' is missing"):
        mltq.Interpreter(b"not a model at all")
    with pytest.raises(FileNotFoundError):
        mltq.Interpreter("no/such/file.tflite")
    interpreter = mltq.Interpreter(tflite)
    with pytest.raises(ValueError, match=r"takes shape \(batch, 6, 6, 2\)"):
        interpreter.predict(x[..., :1])
    with pytest.raises(ValueError, match=r"Input '.*' has values that are NaN"):
        interpreter.predict(x * np.nan)
    with pytest.raises(ValueError, match="takes int8"):
        interpreter.invoke(x[:1])
    with pytest.raises(ValueError, match="has 1 inputs, got 2"):
        interpreter.invoke(x, x)


def test_a_missing_wheel_names_the_way_out(tflite, monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite_micro.python.tflite_micro.runtime", None)
    with pytest.raises(mltq.RuntimeUnavailableError, match="use runtime='litert'"):
        mltq.Interpreter(tflite)


def test_another_resolver_of_the_wheel_is_refused(tflite, monkeypatch):
    """As if the symbol found the resolver of another version: nothing may be written to it."""
    monkeypatch.setattr(tflm, "_REGISTERER", "MltqStatusMessage")
    with pytest.raises(mltq.RuntimeUnavailableError, match="stores its operators differently"):
        mltq.Interpreter(tflite)


def test_an_unbuilt_library_names_the_way_out(monkeypatch):
    monkeypatch.setattr(operator_library.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(mltq.RuntimeUnavailableError, match="build-essential"):
        operator_library.library_path()


def test_a_missing_compiler_names_the_way_out(tmp_path):
    command = [sys.executable, "setup.py", "build_ext", "--build-lib", str(tmp_path),
               "--build-temp", str(tmp_path)]  # fmt: skip
    environment = {"CC": "no-such-compiler", "PATH": "/nonexistent"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "could not be compiled" in done.stderr
    assert "build-essential" in done.stderr


def corrupted(tflite, operator, position, value):
    """The model with one byte of an operator's packed planes changed."""
    model = flatbuffer.load(tflite)
    subgraph = model.subgraphs[0]
    op = next(op for op in subgraph.operators if op.opcodeIndex == operator.opcodeIndex)
    buffer = model.buffers[subgraph.tensors[op.inputs[1]].buffer]
    start = tflite.find(bytes(buffer.data))
    changed = bytearray(tflite)
    changed[start + position] = value
    return bytes(changed)


def test_any_changed_byte_is_refused_or_harmless_in_both_runtimes(tflite, x):
    model = flatbuffer.load(tflite)
    subgraph = model.subgraphs[0]
    sample = mltq.Interpreter(tflite).input_details[0].quantize(x[:1])
    refused = ran = 0
    for operator in subgraph.operators:
        name = flatbuffer.operator_name(model, operator)
        if not name.startswith("MLTQ_"):
            continue
        size = len(model.buffers[subgraph.tensors[operator.inputs[1]].buffer].data)
        for position in range(size):
            broken = corrupted(tflite, operator, position, (position * 37 + 129) % 256)
            results = []
            for runtime in ("tflm", "litert"):
                try:
                    interpreter = mltq.Interpreter(broken, runtime)
                    results.append(interpreter.invoke(sample)[0].tobytes())
                    ran += 1
                except RuntimeError as error:
                    results.append(None)
                    refused += name in str(error)
            assert results[0] == results[1], (name, position)
    assert refused > 50
    assert ran > 50


@pytest.mark.parametrize("change", ["absent planes", "one input", "variable planes"])
def test_malformed_operators_are_refused(tflite, change):
    model = flatbuffer.load(tflite)
    subgraph = model.subgraphs[0]
    operator = next(
        op
        for op in subgraph.operators
        if flatbuffer.operator_name(model, op) == "MLTQ_DEPTHWISE_CONV_2D"
    )
    if change == "absent planes":
        operator.inputs = [operator.inputs[0], -1]
    elif change == "one input":
        operator.inputs = [operator.inputs[0]]
    else:
        operator.inputs = [operator.inputs[0], operator.inputs[0]]
    for runtime in ("tflm", "litert"):
        with pytest.raises(RuntimeError, match=r"MLTQ_DEPTHWISE_CONV_2D: tensors"):
            mltq.Interpreter(flatbuffer.save(model), runtime)


def test_refusals_name_the_operator_and_the_field(tflite):
    model = flatbuffer.load(tflite)
    operator = next(
        op
        for op in model.subgraphs[0].operators
        if flatbuffer.operator_name(model, op) == "MLTQ_FULLY_CONNECTED"
    )
    broken = corrupted(tflite, operator, 4, FORMAT_VERSION + 1)
    for runtime in ("tflm", "litert"):
        with pytest.raises(
            RuntimeError, match=r"MLTQ_FULLY_CONNECTED: packed tensor: unsupported version"
        ):
            mltq.Interpreter(broken, runtime)


def test_importing_tflm_leaves_the_callers_flags_alone():
    code = (
        "from absl import flags; flags.DEFINE_string('output', '', '')\n"
        "from tfmot_mltq.runtime import tflm; tflm._import_tflm()\n"
        "import sys; assert 'tflite_micro' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
