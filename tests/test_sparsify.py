"""sparsify: the search, its directory, its results."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console
from sklearn.datasets import load_digits

import tfmot_mltq as mltq

X = np.random.default_rng(0).normal(size=(32, 12)).astype(np.float32)
Y = X[:, :3]
SPARSITIES = [0.7, 0.75, 0.8, 0.85, 0.9, 0.95]


def small_model():
    keras.utils.set_random_seed(2)
    layers = [keras.layers.Dense(size, name=f"fc{size}") for size in (10, 20, 3)]
    return mltq.quantize_model(keras.Sequential([keras.Input((12,)), *layers]), levels=2)


def train(model, callbacks, **options):
    model.compile("sgd", "mse")
    model.fit(X, Y, batch_size=8, verbose=0, callbacks=callbacks, **options)


def density(model):
    return mltq.summary(model, print_table=False)["total"]["bit_density"]


class Search:
    """A search whose accuracy falls with sparsity, so that 0.85 is the last within 0.05."""

    def __init__(self, **options):
        self.trained = 0
        self.options = {"sparsities": SPARSITIES, "console": Console(quiet=True), **options}

    def train(self, model, callbacks):
        self.trained += 1
        train(model, callbacks)

    def accuracy(self, model):
        return 0.9 - (0.04 if density(model) > 0.14 else 0.2)

    def run(self, model=None, **options):
        return mltq.sparsify(
            model or small_model(),
            self.train,
            self.accuracy,
            0.05,
            reference_accuracy=0.9,
            **{**self.options, **options},
        )


def test_result_holds_the_best_model_and_all_trials(tmp_path):
    search = Search()
    result = search.run()
    assert result.best.sparsity == 0.85
    assert density(result.model) == pytest.approx(0.15, abs=0.01)
    assert search.trained == len(result.trials) == 3
    tried = [trial.sparsity for trial in result.trials]
    assert tried == sorted(tried)
    assert [trial.within_tolerance for trial in result.trials] == [s <= 0.85 for s in tried]
    assert [trial.sparsity for trial in result.pareto][-1] == 0.95
    data = json.loads(json.dumps(result.to_dict()))
    assert data["best"]["total"]["potential_speedup_bit"] == pytest.approx(1 / 0.15, rel=0.1)
    for name in ("curve.png", "curve.svg"):
        assert result.plot(tmp_path / name).stat().st_size > 1000


def test_stopped_search_goes_on(tmp_path):
    class Killed(Exception):
        pass

    search = Search(directory=tmp_path / "search")

    def train_and_die(model, callbacks):
        search.train(model, callbacks)
        if search.trained == 2:
            raise Killed

    model = small_model()
    with pytest.raises(Killed):
        mltq.sparsify(
            model, train_and_die, search.accuracy, 0.05, reference_accuracy=0.9, **search.options
        )
    result = search.run(model)
    assert result.best.sparsity == 0.85
    assert search.trained == 4  # three trials, one of them twice
    assert search.run(model).to_dict() == result.to_dict()
    assert search.trained == 4
    np.testing.assert_array_equal(
        search.run(model).model.predict(X, verbose=0), result.model.predict(X, verbose=0)
    )
    assert not list((tmp_path / "search").glob(".*"))


def test_directory_of_another_search_is_refused(tmp_path):
    folder = tmp_path / "search"
    model = small_model()
    Search(directory=folder).run(model)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    other = small_model()
    other.set_weights([2 * weight for weight in model.get_weights()])
    with pytest.raises(ValueError, match=r"differs in model\. Choose another directory"):
        Search(directory=folder).run(other)
    with pytest.raises(ValueError, match="differs in sparsities"):
        Search(directory=folder).run(model, sparsities=SPARSITIES[:3])
    with pytest.raises(ValueError, match="differs in scope"):
        Search(directory=folder).run(model, scope="global")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    next(folder.glob("*.keras")).unlink()
    with pytest.raises(ValueError, match="is missing, which"):
        Search(directory=folder).run(model)
    (folder / "trials.json").write_text('{"trials": [')
    with pytest.raises(ValueError, match="is not the index of a search"):
        Search(directory=folder).run(model)


@pytest.mark.parametrize("value", [float("nan"), None, "good"])
def test_accuracy_that_is_no_number_stops_the_search(value, tmp_path):
    search = Search(directory=tmp_path / "search")
    search.accuracy = lambda model: value
    with pytest.raises(ValueError, match=r"evaluate_fn returned .* for the trial at sparsity"):
        search.run()
    with pytest.raises(ValueError, match="for the model as it is; it must return the accuracy"):
        mltq.sparsify(small_model(), search.train, search.accuracy)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="max_accuracy_drop must not be negative"):
        mltq.sparsify(small_model(), train, density, -0.1)
    with pytest.raises(ValueError, match=r"sparsities must be above that of the model, 0\.\d+"):
        Search().run(sparsities=[0.1, 0.9])
    with pytest.raises(ValueError, match=r"sparsities must be .* got none"):
        Search().run(sparsities=[])


def test_nothing_within_the_tolerance_gives_the_model_back():
    search = Search()
    search.accuracy = lambda model: 0.1
    model = small_model()
    result = search.run(model)
    assert result.best is None
    assert result.model is model


def test_length_of_training_has_to_be_known_or_given():
    def train_on_generator(model, callbacks):
        model.compile("sgd", "mse")
        model.fit(((X, Y) for _ in range(3)), verbose=0, callbacks=callbacks)

    search = Search()
    search.train = train_on_generator
    with pytest.raises(ValueError, match="Pass steps_per_epoch to fit, or"):
        search.run()
    result = search.run(pruning_schedule=lambda sparsity: mltq.ConstantSparsity(sparsity, 0))
    assert result.best.sparsity == 0.85


def test_trials_run_under_a_strategy():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    seen = []
    search = Search(strategy=strategy)

    def train_in_scope(model, callbacks):
        seen.append(tf.distribute.get_strategy())
        train(model, callbacks)

    search.train = train_in_scope
    assert search.run().best.sparsity == 0.85
    assert all(found is strategy for found in seen)


@pytest.mark.slow
def test_search_on_digits_ends_within_one_step_of_an_exhaustive_grid():
    digits = load_digits()
    x, y = (digits.images[..., None] / 16).astype(np.float32), digits.target

    def train_digits(model, callbacks=(), epochs=10):
        keras.utils.set_random_seed(0)
        model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
        model.fit(x[:1300], y[:1300], epochs=epochs, verbose=0, callbacks=list(callbacks))

    def accuracy(model):
        return float(np.mean(np.argmax(model.predict(x[1300:], verbose=0), 1) == y[1300:]))

    def search(sparsities):
        return mltq.sparsify(
            q, train_digits, accuracy, reference_accuracy=accuracy(model), sparsities=sparsities
        )

    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, padding="same", strides=2, activation="relu"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    train_digits(model, epochs=20)
    q = mltq.quantize_model(model, levels=2)
    grid = [1 - 0.4 * 0.5 ** (step / 4) for step in range(24)]
    found = grid.index(search(grid).best.sparsity)
    good = [index for index, value in enumerate(grid) if search([value]).best is not None]
    assert abs(found - max(good)) <= 1
