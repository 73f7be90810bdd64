"""potential_speedup with data, and the reports."""

import json

import keras
import numpy as np
import pytest

import tfmot_mltq as mltq
from tfmot_mltq.report.zero_activations import used_activations
from tfmot_mltq.search.trial import SparsifyResult, Trial

layers = keras.layers
RNG = np.random.default_rng(8)
X = RNG.normal(size=(5, 9, 8, 3)).astype(np.float32)


def build():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((9, 8, 3))
    x = layers.Conv2D(4, 1, activation="relu", name="stem")(inputs)
    x = layers.Conv2D(6, (3, 2), strides=2, padding="same", activation="relu", name="same")(x)
    x = layers.Conv2D(5, 2, dilation_rate=2, activation="relu", name="valid")(x)
    shared = layers.DepthwiseConv2D(2, depth_multiplier=2, padding="same", name="depthwise")
    x = layers.ReLU()(shared(x))
    x = layers.Reshape((-1, 10))(x)
    x = layers.Conv1D(7, 3, padding="causal", activation="relu", name="causal")(x)
    x = layers.Dense(6, activation="relu", name="per_position")(x)
    x = layers.Dense(4, name="dense")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(2, name="head")(x), name="many_kinds")


@pytest.fixture(scope="module")
def q():
    q = mltq.quantize_model(build(), levels=2)
    mltq.calibrate(q, X)
    return q


def products_by_convolution(q, name, counted):
    """The counts by the layer itself: run on 0/1 activations with integer weights."""
    layer = q.get_layer(name)
    plain = layer.plain()
    inputs = layer.input
    activations = keras.Model(q.inputs, inputs).predict(X, verbose=0)
    planes, _ = mltq.ternary_weights(layer)
    bits = np.count_nonzero(planes, axis=0)
    kernel = {"bit": bits, "word": bits != 0, "any": np.ones_like(bits)}[counted]
    plain.use_bias, plain.activation = False, keras.activations.linear
    plain.build(inputs.shape)
    plain.set_weights([kernel.astype(np.float32)])
    return float(np.sum(plain(np.asarray(activations != 0, np.float32)), dtype=np.float64))


def test_two_sided_figures_are_as_defined(q):
    figures = mltq.summary(q, X, print_table=False)
    names = [entry["name"] for entry in figures["layers"]]
    assert names == ["same", "valid", "depthwise", "causal", "per_position", "dense"]
    work = bit_work = word_work = 0
    for entry in figures["layers"]:
        bits, words, active = (
            products_by_convolution(q, entry["name"], counted) for counted in ("bit", "word", "any")
        )
        products = len(X) * entry["macs"]
        assert entry["used"]["products"] == products
        assert entry["used"]["bit_products"] == bits
        assert entry["used"]["word_products"] == words
        assert entry["activation_density"] == pytest.approx(active / products)
        assert entry["potential_speedup_bit_two_sided"] == pytest.approx(2 * products / bits)
        assert entry["potential_speedup_word_two_sided"] == pytest.approx(2 * products / words)
        work += 2 * products
        bit_work += bits
        word_work += words
    speedups = mltq.potential_speedup(q, X)
    assert speedups["two_sided"]["bit"] == pytest.approx(work / bit_work)
    assert speedups["two_sided"]["word"] == pytest.approx(work / word_work)
    assert speedups["one_sided"] == mltq.potential_speedup(q)["one_sided"]
    assert mltq.potential_speedup(q)["two_sided"] is None
    assert set(speedups["layers"]) == set(names)
    assert speedups["two_sided"]["bit"] > speedups["one_sided"]["bit"]


def test_binary_scores_one_on_both_sides():
    binary = mltq.quantize_model(build(), kind="binary")
    mltq.calibrate(binary, X)
    speedups = mltq.potential_speedup(binary, X)
    assert {*speedups["one_sided"].values(), *speedups["two_sided"].values()} == {1.0}


def test_data_of_another_shape_is_refused(q):
    with pytest.raises(ValueError, match="has shape"):
        mltq.potential_speedup(q, X[..., :2])


def search():
    trials = [
        Trial(0.7, 0.95, True, 1.0, {}),
        Trial(0.9, 0.94, True, 1.0, {}),
        Trial(0.95, 0.80, False, 1.0, {}),
    ]
    return SparsifyResult(None, trials[1], 0.95, 0.02, trials)


@pytest.mark.parametrize("with_search", [False, True])
def test_reports_of_every_kind(q, tmp_path, with_search):
    found = search() if with_search else None
    paths = {
        suffix: mltq.write_report(q, tmp_path / f"report{suffix}", X, found)
        for suffix in (".html", ".png", ".svg", ".pdf", ".json")
    }
    page = paths[".html"].read_text()
    total = mltq.summary(q, X, print_table=False)["total"]
    for text in (
        "many_kinds", "per_position", f"{total['flash_bytes']:,}", "a first layer",
        f"{total['potential_speedup_bit_two_sided']:.2f}x", "data:image/png;base64,",
    ):  # fmt: skip
        assert text in page
    assert ("yes, chosen" in page) == with_search
    data = json.loads(paths[".json"].read_text())
    assert data["total"]["flash_bytes"] == total["flash_bytes"]
    assert (data["search"] is not None) == with_search
    for path in paths.values():
        assert path.stat().st_size > 1000
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in paths.values()}


def test_other_formats_are_refused(q, tmp_path):
    with pytest.raises(ValueError, match=r"path must end in one of \.html"):
        mltq.write_report(q, tmp_path / "report.doc")


def test_missing_plot_library_says_what_to_install(q, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'tfmot-mltq\[report\]'"):
        mltq.write_report(q, tmp_path / "report.png")
    assert not list(tmp_path.iterdir())


def test_used_activations_add_up_over_calls(rng):
    inputs = keras.Input((6, 6, 3))
    shared = layers.Conv2D(3, 3, padding="same", activation="relu", name="shared")
    x = shared(shared(layers.Conv2D(3, 1)(inputs)))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    q = mltq.quantize_model(model)
    data = rng.normal(size=(3, 6, 6, 3)).astype(np.float32)
    mltq.calibrate(q, data)
    from tfmot_mltq.keras.adapter import ADAPTER

    layer = ADAPTER.multi_level_layer(q.get_layer("shared"))
    used = used_activations(q, ADAPTER, data, {"shared": layer})["shared"]
    assert used.products == 2 * 3 * 36 * 81
