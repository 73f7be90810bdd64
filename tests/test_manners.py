"""Code that was written for Keras and TFMOT runs, or is told what to write instead."""

import importlib

import numpy as np
import pytest

import tfmot_mltq as mltq

FRAMEWORKS = pytest.mark.parametrize("framework", ["keras", "tf_keras"])
X = np.random.default_rng(0).normal(size=(32, 6)).astype(np.float32)
Y = X[:, :2]


def network(keras):
    layers = keras.layers
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(12, activation="relu"),
            layers.Dense(10, activation="relu", name="middle"),
            layers.Dense(2),
        ]
    )


def density(model, of):
    return mltq.summary(model, print_table=False)["total"][f"{of}_density"]


@FRAMEWORKS
def test_the_callback_is_one_of_its_keras(framework):
    keras = importlib.import_module(framework)
    step = mltq.UpdatePruningStep()
    assert isinstance(step, keras.callbacks.Callback)
    assert isinstance(step, mltq.UpdatePruningStep)
    p = mltq.prune_low_magnitude(mltq.quantize_model(network(keras)), mltq.ConstantSparsity(0.8, 0))
    p.compile("sgd", "mse")
    listed = keras.callbacks.CallbackList([step], add_history=True, model=p)
    p.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=listed)
    assert density(p, "bit") == pytest.approx(0.2, abs=0.02)


@FRAMEWORKS
def test_a_class_derived_from_the_callback_is_one_too(framework):
    keras = importlib.import_module(framework)

    class Counting(mltq.UpdatePruningStep):
        def __init__(self, start):
            super().__init__()
            self.batches = start

        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            self.batches += 1

    counting = Counting(10)
    assert isinstance(counting, (Counting, keras.callbacks.Callback))
    p = mltq.prune_low_magnitude(mltq.quantize_model(network(keras)), mltq.ConstantSparsity(0.8, 0))
    p.compile("sgd", "mse")
    p.fit(X, Y, batch_size=8, verbose=0, callbacks=[counting])
    assert counting.batches == 14


def test_arguments_of_tfmot():
    keras = importlib.import_module("tf_keras")
    tfmot = importlib.import_module("tensorflow_model_optimization")
    params = {
        "pruning_schedule": tfmot.sparsity.keras.PolynomialDecay(0.5, 0.9, 0, 8, frequency=2),
        "block_size": (1, 2),
    }
    p = mltq.prune_low_magnitude(
        to_prune=mltq.quantize_model(network(keras)), granularity="word", **params
    )
    p.compile("sgd", "mse")
    p.fit(X, Y, batch_size=8, epochs=4, verbose=0, callbacks=[mltq.UpdatePruningStep()])
    assert density(p, "word") == pytest.approx(0.1, abs=0.02)


@FRAMEWORKS
def test_half_is_pruned_at_once_by_default(framework):
    keras = importlib.import_module(framework)
    p = mltq.prune_low_magnitude(network(keras), granularity="word", layers=["middle"])
    p.compile("sgd", "mse")
    p.fit(X, Y, verbose=0, callbacks=[mltq.UpdatePruningStep()])
    kernel = mltq.strip(p).get_layer("middle").get_weights()[0]
    assert np.count_nonzero(kernel) == kernel.size // 2


WITHOUT_COUNTERPART = {
    "block_pooling_type": ("AVG", "omit it"),
    "pruning_policy": (object(), r"layers=\[name"),
    "sparsity_m_by_n": ((2, 4), "block_size"),
    "granularty": ("bit", "unexpected keyword argument 'granularty'"),
}


@pytest.mark.parametrize("name", WITHOUT_COUNTERPART)
def test_an_argument_without_counterpart_is_refused_by_name(name):
    keras = importlib.import_module("keras")
    value, message = WITHOUT_COUNTERPART[name]
    with pytest.raises(TypeError, match=f"{name}.*{message}|{message}"):
        mltq.prune_low_magnitude(network(keras), mltq.ConstantSparsity(0.5, 0), **{name: value})


@FRAMEWORKS
def test_layers_are_pruned_as_part_of_a_model(framework):
    keras = importlib.import_module(framework)
    for found in (keras.layers.Dense(3), [keras.layers.Dense(3)]):
        with pytest.raises(TypeError, match=r"layers=\[name"):
            mltq.prune_low_magnitude(found, mltq.ConstantSparsity(0.5, 0))
    with pytest.raises(TypeError, match="takes one model"):
        mltq.prune_low_magnitude(pruning_schedule=mltq.ConstantSparsity(0.5, 0))
