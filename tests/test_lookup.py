"""MLTQ_LOOKUP: the same values on every runtime, and hostile models refused when prepared."""

import json

import numpy as np
import pytest
from exported_library import run_self_test
from small_models import Builder, T, constant, one_operator

import tfmot_mltq as mltq
from tfmot_mltq.command_line.main import main
from tfmot_mltq.cost_model.tflite_operators import read_operators
from tfmot_mltq.export.c_project import plan_c_project
from tfmot_mltq.export.project_formats import PROJECT_FORMATS
from tfmot_mltq.packing.format import LOOKUP_OP_NAME
from tfmot_mltq.runtime.tflm_methods import registration


@pytest.fixture
def table(rng):
    return rng.integers(-128, 128, 256, dtype=np.int8)


def lookup_model(table, shape=(1, 4, 64), output_shape=None):
    return one_operator(
        LOOKUP_OP_NAME, [T(shape), constant(table, 0.1)], [T(output_shape or shape, 0.1)]
    )


@pytest.mark.parametrize("runtime", ["tflm", "litert"])
@pytest.mark.parametrize("shape", [(256,), (1, 4, 64), (2, 2, 4, 2, 8)])
def test_every_value_is_looked_up(runtime, shape, table, rng):
    x = rng.permutation(np.arange(-128, 128)).astype(np.int8).reshape(shape)
    found = mltq.Interpreter(lookup_model(table, shape), runtime=runtime).invoke(x)[0]
    np.testing.assert_array_equal(found, table[x.astype(int) + 128])


@pytest.mark.parametrize("runtime", ["tflm", "litert"])
def test_the_output_may_have_another_shape(runtime, table):
    x = np.arange(-128, 128, dtype=np.int8).reshape(1, 4, 64)
    model = lookup_model(table, output_shape=(2, 128))
    found = mltq.Interpreter(model, runtime=runtime).invoke(x)[0]
    np.testing.assert_array_equal(found, table.reshape(2, 128))


@pytest.mark.parametrize("runtime", ["tflm", "litert"])
@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ([T((1, 8)), constant(np.zeros(255, np.int8))], [T((1, 8))], "table tensor: must have 256"),
        ([T((1, 8)), constant(np.zeros(257, np.int8))], [T((1, 8))], "table tensor: must have 256"),
        ([T((1, 8)), constant(np.zeros((2, 64), np.int8))], [T((1, 8))], "table tensor: must have"),
        ([T((1, 8)), constant(np.zeros(256, np.uint8))], [T((1, 8))], "must be int8"),
        ([T((1, 8)), constant(np.zeros(64, np.int32))], [T((1, 8))], "must be int8"),
        (
            [T((1, 8), dtype=np.uint8), constant(np.zeros(256, np.int8))],
            [T((1, 8))],
            "tensors: input, table and output must be int8",
        ),
        ([T((1, 8)), constant(np.zeros(256, np.int8))], [T((1, 8), dtype=np.float32)], "be int8"),
        ([T((1, 8)), constant(np.zeros(256, np.int8))], [T((1, 9))], "as many values as the input"),
        ([T((1, 8)), T((256,))], [T((1, 8))], "table tensor: must be constant"),
        ([T((1, 8))], [T((1, 8))], "tensors: expected an input, a table"),
        ([T((1, 8)), None], [T((1, 8))], "tensors: expected an input, a table"),
        (
            [T((1, 8)), constant(np.zeros(256, np.int8)), T((1, 8))],
            [T((1, 8))],
            "tensors: expected an input, a table",
        ),
        (
            [T((1, 8)), constant(np.zeros(256, np.int8))],
            [T((1, 8)), T((1, 8))],
            "tensors: expected an input, a table",
        ),
    ],
)
def test_hostile_models_are_refused(runtime, inputs, outputs, message):
    with pytest.raises(RuntimeError, match=f"MLTQ_LOOKUP: .*{message}"):
        mltq.Interpreter(one_operator(LOOKUP_OP_NAME, inputs, outputs), runtime=runtime)


@pytest.mark.parametrize(
    ("table", "shape", "message"),
    [
        (np.zeros(255, np.int8), (1, 8), "256 int8 values"),
        (np.zeros(256, np.uint8), (1, 8), "256 int8 values"),
        (np.zeros(256, np.int8), (1, 9), "as many values as the input"),
    ],
)
def test_hostile_models_are_not_exported(table, shape, message):
    model = one_operator(LOOKUP_OP_NAME, [T((1, 8)), constant(table)], [T(shape)])
    with pytest.raises(mltq.ConversionError, match=f"MLTQ_LOOKUP.*{message}"):
        plan_c_project(model)


def test_exported_code(table, rng, tmp_path):
    """Two tables, one after the other; also under the sanitizers."""
    other = rng.integers(-128, 128, 256, dtype=np.int8)
    builder = Builder()
    tensors = [builder.tensor(t) for t in (T((1, 300)), T((1, 300)), T((1, 300)))]
    tables = [builder.tensor(constant(values, 0.1)) for values in (table, other)]
    builder.add(LOOKUP_OP_NAME, [tensors[0], tables[0]], [tensors[1]])
    builder.add(LOOKUP_OP_NAME, [tensors[1], tables[1]], [tensors[2]])
    model = builder.finish(tensors[:1], tensors[2:])
    x = rng.integers(-128, 128, (1, 300), dtype=np.int8)
    y = mltq.Interpreter(model).invoke(x)[0]
    np.testing.assert_array_equal(y, other[table[x.astype(int) + 128].astype(int) + 128])
    folder = tmp_path / "project"
    PROJECT_FORMATS["c"](plan_c_project(model), "model").write(folder, ([x], [y]))
    run_self_test(folder)


def test_it_is_registered_and_listed(table, tmp_path, capsys):
    assert registration(LOOKUP_OP_NAME) == 'AddCustom("MLTQ_LOOKUP", mltq_tflm_lookup())'
    model = lookup_model(table)
    (operator,) = read_operators(model)
    assert (operator.op, operator.constant_bytes) == (LOOKUP_OP_NAME, 256)
    path = tmp_path / "lookup.tflite"
    path.write_bytes(model)
    assert main(["inspect", "--json", str(path)]) == 0
    (row,) = json.loads(capsys.readouterr().out)["operators"]
    assert (row["op"], row["output_shape"]) == ("MLTQ_LOOKUP", [1, 4, 64])
