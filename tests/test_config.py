"""One configuration for all options, of all layers or of single ones."""

import dataclasses
import importlib
import json

import numpy as np
import pytest

import tfmot_mltq as mltq
from tfmot_mltq.command_line.main import main
from tfmot_mltq.config import as_config

FRAMEWORKS = pytest.mark.parametrize("framework", ["keras", "tf_keras"])


def network(keras):
    layers = keras.layers
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu", name="first"),
            layers.Conv2D(6, 3, activation="relu", name="block_1"),
            layers.SeparableConv2D(5, 3, activation="relu", name="block_2"),
            layers.Flatten(name="flat"),
            layers.Dense(7, activation="relu", name="hidden"),
            layers.Dense(3, name="head"),
        ]
    )


def levels(q):
    """The levels of each layer that has some, by its name."""
    return {
        entry["name"].removeprefix("quant_"): entry["levels"]
        for entry in mltq.summary(q, print_table=False)["layers"]
    }


@FRAMEWORKS
def test_a_configuration_says_everything(framework):
    keras = importlib.import_module(framework)
    config = mltq.MultiLevelConfig(levels=3, threshold="exact", refit=True)
    by_config = mltq.quantize_model(network(keras), config=config)
    by_keywords = mltq.quantize_model(network(keras), 3, threshold="exact", refit=True)
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32)
    np.testing.assert_array_equal(
        by_config.predict(x, verbose=0), by_keywords.predict(x, verbose=0)
    )
    assert set(levels(by_config).values()) == {3}


@FRAMEWORKS
def test_single_layers_have_configurations_of_their_own(framework, tmp_path):
    keras = importlib.import_module(framework)
    per_layer = {
        "block_2": mltq.MultiLevelConfig(levels=1),
        "block_*": mltq.MultiLevelConfig(levels=4),
        "hidden": None,
        "first": mltq.MultiLevelConfig(levels=3, kind="binary"),
    }
    q = mltq.quantize_model(network(keras), per_layer=per_layer)
    expected = {"first": 3, "block_1": 4, "block_2_depthwise": 1, "block_2_pointwise": 1}
    assert levels(q) == expected
    q.save(tmp_path / "model.keras")
    assert levels(keras.models.load_model(tmp_path / "model.keras")) == expected
    x = np.random.default_rng(0).normal(size=(20, 8, 8, 3)).astype(np.float32)
    operators = [
        error["op"]
        for error in mltq.debug(q, mltq.convert(q, x), x, print_table=False)
        if error["op"].startswith("MLTQ")
    ]
    assert len(operators) == 4


@FRAMEWORKS
def test_annotations_take_configurations(framework):
    keras = importlib.import_module(framework)
    layers = keras.layers
    config = mltq.MultiLevelConfig(levels=4)
    inputs = keras.Input((6,))
    x = mltq.quantize_annotate_layer(layers.Dense(5, name="chosen"), config=config)(inputs)
    q = mltq.quantize_apply(keras.Model(inputs, layers.Dense(2)(x)))
    assert levels(q) == {"chosen": 4}


WRONG_LAYERS = {
    "blok_1": "matches no layer that can have levels. Candidates: block_1, block_2",
    "blok_*": "per_layer names 'blok_\\*'",
    "flat": "per_layer names 'flat': its class, Flatten, is not one of",
}


@FRAMEWORKS
@pytest.mark.parametrize("name", WRONG_LAYERS)
def test_layers_that_are_not_there(framework, name):
    keras = importlib.import_module(framework)
    with pytest.raises(ValueError, match=WRONG_LAYERS[name]):
        mltq.quantize_model(network(keras), per_layer={name: mltq.MultiLevelConfig()})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"config": {"levels": 2}}, TypeError, "must be a MultiLevelConfig"),
        ({"per_layer": {"hidden": 3}}, TypeError, r"per_layer\['hidden'\] must be"),
        ({"treshold": "exact"}, TypeError, "'treshold'; did you mean 'threshold'"),
        ({"config": mltq.MultiLevelConfig(), "levels": 3}, ValueError, "replace.config, levels"),
        (
            {"config": mltq.MultiLevelConfig(), "refit": True},
            ValueError,
            "refit cannot be passed with config",
        ),
        ({"activation_levels": 5}, ValueError, "from 0 to 4, got 5"),
    ],
)
def test_arguments_that_there_are_not(arguments, error, message):
    keras = importlib.import_module("keras")
    with pytest.raises(error, match=message):
        mltq.quantize_model(network(keras), **arguments)


@pytest.mark.parametrize(
    "fields",
    [
        {"activations": 2},
        {"activations": mltq.ActivationConfig(0, 0.5)},
        {"kind": "binary", "activations": mltq.ActivationConfig(2, 0.5)},
        {"levels": 0},
        {"levels": True},
    ],
)
def test_fields_out_of_range(fields):
    with pytest.raises(ValueError, match=r"activations must be|sparsity_penalty|levels must be"):
        mltq.MultiLevelConfig(**fields)


def test_fields_of_saved_models_and_of_older_versions():
    config = mltq.MultiLevelConfig(3, activations=mltq.ActivationConfig(2, 0.25))
    assert as_config(dataclasses.asdict(config)) == config
    old = {"levels": 3, "activation_levels": 2, "activity_regularization": 0.25}
    assert as_config(old) == config
    with pytest.raises(ValueError, match="has no field 'level'; its fields are levels, kind"):
        as_config({"level": 3})


def test_names_of_older_versions_forward():
    with pytest.warns(DeprecationWarning, match="now mltq.MultiLevelConfig"):
        assert mltq.Decomposition(3, "binary") == mltq.MultiLevelConfig(3, "binary")
    layer = importlib.import_module("keras").layers.Dense(3)
    with pytest.warns(DeprecationWarning, match="activation_sparsity_penalty"):
        mltq.quantize_annotate_layer(layer, activation_levels=2, activity_regularization=0.1)


def test_command_line_takes_a_configuration(tmp_path, capsys):
    keras = importlib.import_module("keras")
    network(keras).save(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(20, 8, 8, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    files = [str(tmp_path / "model.keras"), f"--data={tmp_path / 'x.npy'}"]
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"levels": 3, "per_layer": {"hidden": None, "head": {}}}))
    assert main(["convert", *files, f"--config={config}"]) == 0
    assert "hidden" in capsys.readouterr().out
    config.write_text(json.dumps({"level": 3}))
    assert main(["convert", *files, f"--config={config}", "--overwrite"]) == 1
    assert "config.json: MultiLevelConfig has no field 'level'" in capsys.readouterr().err
    assert main(["convert", *files, f"--config={config}", "--levels=2", "--overwrite"]) == 1
    assert "--levels cannot be passed with --config" in capsys.readouterr().err


@FRAMEWORKS
def test_a_dense_layer_over_time_gets_levels(framework):
    keras = importlib.import_module(framework)
    layers = keras.layers
    inputs = keras.Input((6, 4))
    x = layers.TimeDistributed(layers.Dense(5), name="first")(inputs)
    x = layers.TimeDistributed(layers.Dense(7, activation="gelu"), name="middle")(x)
    model = keras.Model(inputs, layers.TimeDistributed(layers.Dense(3), name="head")(x))
    q = mltq.quantize_model(model)
    assert levels(q) == {"middle": 2}
    x = np.random.default_rng(0).normal(size=(20, 6, 4)).astype(np.float32)
    mltq.calibrate(q, x)
    stripped = mltq.strip(q)
    kernel = stripped.get_layer("head").get_weights()[0]
    np.testing.assert_allclose(kernel, model.get_layer("head").get_weights()[0], atol=0.01)
    have = mltq.Interpreter(mltq.convert(q)).predict(x)
    np.testing.assert_allclose(have, q.predict(x, verbose=0), atol=0.1)
