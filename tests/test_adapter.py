"""The adapter of a model's Keras: found once by each public function, and passed on."""

import ast
import pathlib
import sys

import keras
import numpy as np
import pytest

import tfmot_mltq as mltq
from tfmot_mltq.layout import frameworks

PACKAGE = pathlib.Path(mltq.__file__).parent
# The commands of `mltq`, which are called like the public functions.
COMMANDS = "command_line/"


def calls_of_adapter_of():
    """(file in the package, function or class at its top level) of every call."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for definition in ast.parse(path.read_text()).body:
            for node in ast.walk(definition):
                if isinstance(node, ast.Call) and "adapter_of" in ast.unparse(node.func):
                    yield path.relative_to(PACKAGE).as_posix(), getattr(definition, "name", "")


def test_public_functions_alone_find_an_adapter():
    found = list(calls_of_adapter_of())
    assert {name for _, name in found} >= {"quantize_model", "convert", "strip", "summary"}
    for path, name in found:
        if not path.startswith(COMMANDS):
            assert f"tfmot_mltq.{path.removesuffix('.py').replace('/', '.')}" == (
                mltq._PUBLIC.get(name)
            ), f"{name} in {path}"


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).normal(size=(120, 6, 6, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    layers = keras.layers
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(3, 3)(inputs)
    x = layers.Conv2D(3, 3, activation="relu", name="levels")(x)
    x = layers.LSTM(2)(layers.Reshape((4, 3))(x))
    return keras.Model(inputs, layers.Dense(2)(x))


@pytest.fixture(scope="module")
def q(model, samples):
    q = mltq.quantize_model(model)
    mltq.calibrate(q, samples)
    return q


@pytest.fixture(scope="module")
def tflite(q):
    return mltq.convert(q, verify=False)


@pytest.fixture
def searches(monkeypatch):
    """One entry for each time that an adapter was looked for."""
    for name in mltq.__all__:  # loads the modules that could call it
        getattr(mltq, name)
    found = []
    original = frameworks.adapter_of

    def counted(*arguments):
        found.append(arguments)
        return original(*arguments)

    for module in list(sys.modules.values()):
        if getattr(module, "adapter_of", None) is original:
            monkeypatch.setattr(module, "adapter_of", counted)
    return found


def annotated():
    return keras.Sequential(
        [
            keras.layers.Input((3,)),
            mltq.quantize_annotate_layer(keras.layers.Dense(2)),
        ]
    )


HALF = mltq.ConstantSparsity(0.5, 0)
CALLS = {
    "calibrate": lambda made: mltq.calibrate(made["fresh"], made["samples"]),
    "convert": lambda made: mltq.convert(made["fresh"], made["samples"]),
    "debug": lambda made: mltq.debug(made["q"], made["tflite"], made["samples"]),
    "distill": lambda made: mltq.distill(made["q"], made["model"]),
    "potential_speedup": lambda made: mltq.potential_speedup(made["q"], made["samples"]),
    "prune_low_magnitude": lambda made: mltq.prune_low_magnitude(made["q"], HALF),
    "quantize_annotate_layer": lambda made: mltq.quantize_annotate_layer(keras.layers.Dense(2)),
    "quantize_apply": lambda made: mltq.quantize_apply(made["annotated"]),
    "quantize_model": lambda made: mltq.quantize_model(made["pruned"]),
    "sparsify": lambda made: mltq.sparsify(
        made["q"],
        lambda model, callbacks: None,
        lambda model: 1.0,
        sparsities=[0.9],
        directory=made["folder"] / "search",
    ),
    "strip": lambda made: mltq.strip(made["q"]),
    "summary": lambda made: mltq.summary(made["q"], made["samples"], target="cortex-m4"),
    "ternary_weights": lambda made: mltq.ternary_weights(made["q"].get_layer("levels")),
    "write_report": lambda made: mltq.write_report(made["q"], made["folder"] / "report.json"),
}
# They take no model of Keras, or are classes.
WITHOUT = {
    "compare", "quantize_scope", "PolynomialDecay", "ConstantSparsity", "Interpreter",
    "MultiLevelConfig", "ActivationConfig", "Decomposition", "MultiLevelQuantizeScheme",
    "UnsupportedModelError", "ConversionError", "RuntimeUnavailableError",
    "UpdatePruningStep",
}  # fmt: skip


def test_every_public_name_is_called_here():
    assert set(CALLS) | WITHOUT == set(mltq.__all__)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", CALLS)
def test_a_public_function_looks_for_the_adapter_once(
    name, model, q, tflite, samples, tmp_path, searches
):
    made = {"model": model, "q": q, "tflite": tflite, "samples": samples, "folder": tmp_path}
    if name in ("calibrate", "convert"):
        made["fresh"] = mltq.quantize_model(model)
    elif name == "quantize_apply":
        made["annotated"] = annotated()
    elif name == "quantize_model":
        made["pruned"] = mltq.prune_low_magnitude(model, HALF, granularity="word")
    searches.clear()
    CALLS[name](made)
    assert len(searches) == 1


# What only one side has: backends and layers of Keras 3; the interfaces of TFMOT, by its names.
ONLY_KERAS = {
    "array_namespace", "fake_quantize", "fake_quantize_torch", "quantize_annotate", "weight_layers",
}  # fmt: skip
ONLY_TFMOT = {
    "kept_lambda", "pruning_variables", "pruning_wrapper", "quantize_configs",
    "quantize_layout_transform", "quantize_registry", "quantize_scheme", "quantize_wrapper",
    "quantizers", "saved_wrapper",
}  # fmt: skip


def test_the_files_of_the_two_frameworks_are_twins():
    of_keras, of_tfmot = (
        {path.stem for path in (PACKAGE / folder).glob("*.py")} for folder in ("keras", "tfmot")
    )
    assert of_keras - of_tfmot == ONLY_KERAS
    assert of_tfmot - of_keras == ONLY_TFMOT
