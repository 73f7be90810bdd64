"""MLTQ_NORMALIZATION: the same bytes everywhere, close to Keras, and hostile bytes refused."""

import dataclasses
import re
import struct
import warnings

import keras
import numpy as np
import pytest
import tf_keras
from exported_library import run_self_test
from small_models import Builder, T, constant, one_operator
from structures import randomise

import tfmot_mltq as mltq
from tfmot_mltq.cost_model.tflite_operators import read_operators
from tfmot_mltq.export.c_project import plan_c_project
from tfmot_mltq.export.project_formats import PROJECT_FORMATS
from tfmot_mltq.helpers.c_sources import c_folder
from tfmot_mltq.packing import normalization as packing
from tfmot_mltq.packing.format import NORMALIZATION_OP_NAME
from tfmot_mltq.packing.normalization import Grouping, decode, encode, from_real
from tfmot_mltq.reference.normalization import run_normalization
from tfmot_mltq.runtime.tflm_methods import registration

RUNTIMES = ("tflm", "litert")


def model_of(packed, shape=None, output_shape=None):
    data = packed if isinstance(packed, bytes) else encode(packed)
    shape = shape or (1, decode(data).grouping.size)
    inputs = [T(shape), constant(np.frombuffer(data, np.uint8))]
    return one_operator(NORMALIZATION_OP_NAME, inputs, [T(output_shape or shape, 0.1)])


def random_packed(rng, grouping, subtract_mean=None, epsilon=None):
    size = int(rng.choice([grouping.channels, grouping.groups * grouping.channels, grouping.size]))
    return from_real(
        grouping,
        bool(rng.integers(2)) if subtract_mean is None else subtract_mean,
        float(rng.choice([0, 1e-12, 1e-6, 1e-3, 0.1, 10])) if epsilon is None else epsilon,
        rng.normal(size=size) * rng.choice([0.1, 1, 10]),
        rng.normal(size=size) * rng.choice([0, 1, 5]),
        (float(rng.choice([0.003, 0.05, 0.5])), int(rng.integers(-128, 128))),
        (float(rng.choice([0.003, 0.03, 0.3])), int(rng.integers(-128, 128))),
    )


def random_input(rng, size):
    amplitude = int(rng.choice([0, 1, 2, 20, 128]))
    steps = rng.integers(-100, 100) + rng.integers(-amplitude, amplitude, size, endpoint=True)
    return np.clip(steps, -128, 127).astype(np.int8).reshape(1, size)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_twin_has_the_same_bytes(runtime, rng):
    for channels in (1, 2, 3, 8, 64, 512):
        for members, groups, outer in ((1, 1, 1), (1, 1, 5), (7, 3, 1), (2, 2, 2)):
            grouping = Grouping(outer, members, groups, channels)
            packed = random_packed(rng, grouping)
            interpreter = mltq.Interpreter(model_of(packed), runtime=runtime)
            for _ in range(3):
                x = random_input(rng, grouping.size)
                expected = run_normalization(packed, x)
                np.testing.assert_array_equal(interpreter.invoke(x)[0], expected)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("subtract_mean", [True, False])
@pytest.mark.parametrize("channels", [1, packing.MAX_GROUP])
def test_extreme_values(runtime, subtract_mean, channels):
    """Nothing overflows: the largest group, tables and constants."""
    grouping = Grouping(1, 1, 1, channels)
    x = np.full((1, channels), -128, np.int8)
    x[0, 0] = 127
    for table, epsilon, shift in ((-(2**31), 0, 0), (2**31 - 1, packing.MAX_EPSILON, 30)):
        tables = [np.full(channels, table, np.int32)] * 2
        packed = packing.PackedNormalization(
            grouping, subtract_mean, epsilon, *tables, shift, 127, -128, -100, 100
        )
        y = mltq.Interpreter(model_of(packed), runtime=runtime).invoke(x)[0]
        np.testing.assert_array_equal(y, run_normalization(packed, x))


def test_within_a_step_of_real_arithmetic(rng):
    for _ in range(300):
        sizes = (1, 4), (1, 8), (1, 4), (1, 64)
        grouping = Grouping(*(int(rng.integers(low, high)) for low, high in sizes))
        gain, offset = rng.normal(size=(2, grouping.channels))
        epsilon, scale = float(rng.choice([0, 1e-6, 1e-3, 10])), float(rng.choice([0.01, 0.1]))
        subtract_mean = bool(rng.integers(2))
        packed = from_real(grouping, subtract_mean, epsilon, gain, offset, (scale, 3), (0.02, -5))
        x = random_input(rng, grouping.size)
        real = ((x.astype(float) - 3) * scale).reshape(grouping.shape)
        centered = real - real.mean((1, 3), keepdims=True) if subtract_mean else real
        root = np.sqrt((centered**2).mean((1, 3), keepdims=True) + epsilon)
        scaled = np.where(np.abs(centered) > 1e-9, centered / np.maximum(root, 1e-9), 0)
        steps = np.clip((scaled * gain + offset) / 0.02 - 5, -128, 127).reshape(x.shape)
        assert np.abs(run_normalization(packed, x) - steps).max() < 0.52


def test_the_constants_are_those_of_c():
    header = (c_folder("core") / "mltq_normalization_format.h").read_text()
    defines = dict(re.findall(r"#define MLTQ_NORMALIZATION_(\w+) (\S+)", header))
    offset = 0
    for name, code in packing.HEADER_FIELDS:
        assert int(defines[f"OFFSET_{name.upper()}"]) == offset, name
        offset += struct.calcsize("<" + code)
    assert int(defines["HEADER_BYTES"]) == offset == struct.calcsize(packing.HEADER_STRUCT)
    assert int(defines["VERSION"]) == packing.VERSION
    assert int(defines["MAX_GROUP"]) == packing.MAX_GROUP
    assert int(defines["MAX_SHIFT"]) == packing.MAX_SHIFT
    magic = int(re.search(r"0x\w+", defines["MAGIC"]).group(), 0)
    assert magic.to_bytes(4, "little") == packing.MAGIC


# Hostile models -----------------------------------------------------------------------------------

PACKED = from_real(
    Grouping(2, 3, 2, 4), True, 1e-3, np.ones(8), np.zeros(8), (0.1, 0), (0.1, 0)
)  # fmt: skip
FIELDS = {name: number for number, (name, _) in enumerate(packing.HEADER_FIELDS)}


def changed(**fields):
    header = struct.calcsize(packing.HEADER_STRUCT)
    data = encode(PACKED)
    values = list(struct.unpack_from(packing.HEADER_STRUCT, data))
    for name, value in fields.items():
        values[FIELDS[name]] = value
    return struct.pack(packing.HEADER_STRUCT, *values) + data[header:]


HOSTILE = [
    (b"", "shorter than its header"),
    (encode(PACKED)[:43], "shorter than its header"),
    (encode(PACKED)[:-4], "total_bytes"),
    (encode(PACKED) + bytes(4), "total_bytes"),
    (changed(magic=b"MLTQ"), "magic"),
    (changed(version=2), "version"),
    (changed(subtract_mean=2), "subtract_mean"),
    (changed(activation_min=5, activation_max=4), "activation_min"),
    (changed(shift=31), "shift"),
    (changed(reserved=1), "reserved"),
    (changed(epsilon=2**62), "epsilon"),
    (changed(total_bytes=100), "total_bytes"),
    (changed(members=0), "members"),
    (changed(channels=0), "members"),
    (changed(members=2**16, channels=2**16), "members"),
    (changed(members=2**18 // 4), "members"),
    (changed(groups=0), "groups"),
    (changed(outer=0), "groups"),
    (changed(outer=2**31), "groups"),
    (changed(groups=2**31, outer=2), "groups"),
    (changed(table_size=0), "table_size"),
    (changed(table_size=6), "table_size"),
    (changed(table_size=16), "total_bytes|table_size"),
]


@pytest.mark.parametrize(("data", "message"), HOSTILE)
def test_hostile_bytes_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        decode(data)
    if not data:
        return
    model = model_of(data, shape=(1, 48))
    for runtime in RUNTIMES:
        with pytest.raises(RuntimeError, match=f"MLTQ_NORMALIZATION: packed tensor: .*({message})"):
            mltq.Interpreter(model, runtime=runtime)
    with pytest.raises(mltq.ConversionError, match=f"MLTQ_NORMALIZATION.*({message})"):
        plan_c_project(model)


BYTES = constant(np.frombuffer(encode(PACKED), np.uint8))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ([T((1, 47)), BYTES], [T((1, 48))], "input tensor: size"),
        ([T((1, 48)), BYTES], [T((1, 47))], "output tensor: must have as many"),
        ([T((1, 48), dtype=np.uint8), BYTES], [T((1, 48))], "tensors: input and output must be"),
        ([T((1, 48)), BYTES], [T((1, 48), dtype=np.float32)], "tensors: input and output must be"),
        ([T((1, 48)), constant(np.zeros(108, np.int8))], [T((1, 48))], "tensors: input and"),
        ([T((1, 48)), T((108,), dtype=np.uint8)], [T((1, 48))], "packed tensor: must be constant"),
        ([T((1, 48))], [T((1, 48))], "tensors: expected"),
        ([T((1, 48)), None], [T((1, 48))], "tensors: expected"),
        ([T((1, 48)), BYTES, T((1, 48))], [T((1, 48))], "tensors: expected"),
        ([T((1, 48)), BYTES], [T((1, 48)), T((1, 48))], "tensors: expected"),
    ],
)
def test_hostile_models_are_refused(runtime, inputs, outputs, message):
    with pytest.raises(RuntimeError, match=f"MLTQ_NORMALIZATION: {message}"):
        mltq.Interpreter(one_operator(NORMALIZATION_OP_NAME, inputs, outputs), runtime=runtime)


# Exported code ------------------------------------------------------------------------------------


def test_exported_code(rng, tmp_path):
    """Two of them, one after the other; under the sanitizers."""
    assert registration(NORMALIZATION_OP_NAME).endswith("mltq_tflm_normalization())")
    builder = Builder()
    tensors = [builder.tensor(T((1, 120))) for _ in range(3)]
    groupings = Grouping(3, 5, 2, 4), Grouping(1, 1, 1, 120)
    for i, grouping in enumerate(groupings):
        packed = random_packed(rng, grouping, subtract_mean=i == 0, epsilon=1e-3)
        packed = dataclasses.replace(packed, activation_min=-100)
        table = builder.tensor(constant(np.frombuffer(encode(packed), np.uint8)))
        builder.add(NORMALIZATION_OP_NAME, [tensors[i], table], [tensors[i + 1]])
    model = builder.finish(tensors[:1], tensors[2:])
    x = rng.integers(-128, 128, (1, 120), dtype=np.int8)
    y = mltq.Interpreter(model).invoke(x)[0]
    folder = tmp_path / "project"
    PROJECT_FORMATS["c"](plan_c_project(model), "model").write(folder, ([x], [y]))
    assert not list(folder.rglob("mltq_normalization_check*"))
    run_self_test(folder)


# Keras --------------------------------------------------------------------------------------------

IMAGE = (8, 8, 8)
FLAT, SERIES = (512,), (64, 8)
# Shape, and the layer.
KERAS_LAYERS = {
    "layer": (FLAT, lambda k: k.LayerNormalization(epsilon=1e-6)),
    "layer_series": (SERIES, lambda k: k.LayerNormalization()),
    "layer_image": (IMAGE, lambda k: k.LayerNormalization()),
    "layer_axes": (IMAGE, lambda k: k.LayerNormalization(axis=[1, 2, 3])),
    "layer_last_two": (IMAGE, lambda k: k.LayerNormalization(axis=[2, 3])),
    "layer_first": (IMAGE, lambda k: k.LayerNormalization(axis=1)),
    "layer_plain": (IMAGE, lambda k: k.LayerNormalization(center=False, scale=False)),
    "layer_epsilon": (SERIES, lambda k: k.LayerNormalization(epsilon=2.0)),
    "group": (IMAGE, lambda k: k.GroupNormalization(4)),
    "group_series": (SERIES, lambda k: k.GroupNormalization(2)),
    "group_all": (IMAGE, lambda k: k.GroupNormalization(1)),
    "instance": (IMAGE, lambda k: k.GroupNormalization(-1)),
    "unit": (IMAGE, lambda k: k.UnitNormalization()),
}
KERAS_3_LAYERS = {
    "rms": (IMAGE, lambda k: k.RMSNormalization()),
    "rms_axes": (IMAGE, lambda k: k.RMSNormalization(axis=[1, 2, 3])),
}


@pytest.mark.parametrize("framework", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_agrees_with_keras(framework):
    """All kinds on one int8 input; rows of every kind, some constant."""
    kinds = KERAS_LAYERS | (KERAS_3_LAYERS if framework is keras else {})
    layers = framework.layers
    inputs = framework.Input(IMAGE)
    outputs = [
        make(layers)(inputs if shape == IMAGE else layers.Reshape(shape)(inputs))
        for shape, make in kinds.values()
    ]
    model = framework.Model(inputs, outputs)
    randomise(model, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    samples = rng.normal(size=(40, *IMAGE)).astype(np.float32)
    samples[5:10] *= 0.02
    samples[10:13] = 0
    samples[13:20] += 3
    with warnings.catch_warnings():  # no layer gets levels
        warnings.simplefilter("ignore", UserWarning)
        q = mltq.quantize_model(model, levels=2)
    mltq.calibrate(q, samples)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        tflite = mltq.convert(q, samples)
    operators = [operator.op for operator in read_operators(tflite)]
    assert set(operators) == {NORMALIZATION_OP_NAME, "RESHAPE"}
    assert operators.count(NORMALIZATION_OP_NAME) == len(kinds)
    interpreters = [mltq.Interpreter(tflite, runtime=runtime) for runtime in RUNTIMES]
    found, others = (interpreter.predict(samples) for interpreter in interpreters)
    expected = q.predict(samples, verbose=0)
    details = interpreters[0].output_details
    for name, detail, y, other, keras_y in zip(
        kinds, details, found, others, expected, strict=True
    ):
        np.testing.assert_array_equal(y, other)
        steps = np.abs(y - keras_y) / detail.scale
        print(f"{name}: {(steps > 0.5).mean():.2e} of the values a step off")
        assert steps.max() < 1.01, name
        assert (steps > 0.5).mean() < 1e-3, name
