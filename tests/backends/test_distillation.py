"""distill: towards the answers of a teacher, on every framework and backend."""

import keras as keras3
import numpy as np
import pytest

import tfmot_mltq as mltq

RNG = np.random.default_rng(3)
X = RNG.normal(size=(64, 8)).astype(np.float32)


def classifier(keras, activation="softmax", width=16, classes=3):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(width, activation="relu"),
            layers.Dense(width, activation="relu"),
            layers.Dense(classes, activation=activation),
        ]
    )


def softmax(x):
    exponents = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("from_logits", [False, True])
def test_loss_is_that_of_the_formula(keras, from_logits):
    activation = "linear" if from_logits else "softmax"
    student, teacher = (classifier(keras, activation) for _ in range(2))
    labels = RNG.integers(0, 3, 64)
    d = mltq.distill(student, teacher, temperature=3.0, teacher_weight=0.8, from_logits=from_logits)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    d.compile("sgd", loss, metrics=["accuracy"])
    # tf_keras reports the loss on the labels alone, and trains with this one.
    found = d.compute_loss(keras3.ops.array(X), keras3.ops.array(labels), d(X))
    metrics = d.evaluate(X, labels, batch_size=64, verbose=0, return_dict=True)
    outputs = [model.predict(X, verbose=0) for model in (student, teacher)]
    logits = outputs if from_logits else [np.log(output) for output in outputs]
    own = -np.mean(np.log(softmax(logits[0])[np.arange(64), labels]))
    p, q = (softmax(values / 3.0) for values in logits[::-1])
    divergence = np.mean(np.sum(p * np.log(p / q), axis=-1))
    assert float(found) == pytest.approx(0.2 * own + 0.8 * 9.0 * divergence, rel=1e-3)
    assert metrics["accuracy"] == pytest.approx(np.mean(outputs[0].argmax(1) == labels), abs=1e-6)


def test_pruned_student_learns_from_the_teacher_alone(keras):
    teacher = classifier(keras)
    before = teacher.get_weights()
    student = mltq.quantize_model(classifier(keras), include_first_layer=True)
    student = mltq.prune_low_magnitude(student, mltq.PolynomialDecay(0.3, 0.6, 0, 40, frequency=5))
    d = mltq.distill(student, teacher, teacher_weight=1.0)
    d.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    useless = np.zeros(64, int)
    d.fit(X, useless, 16, epochs=60, verbose=0, callbacks=[mltq.UpdatePruningStep()])
    answers = [model.predict(X, verbose=0).argmax(1) for model in (student, teacher)]
    assert np.mean(answers[0] == answers[1]) > 0.65
    for one, other in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert teacher.trainable
    assert 1 - mltq.summary(student, print_table=False)["total"]["bit_density"] > 0.599


def test_wrong_arguments_are_named(keras):
    student = classifier(keras)
    with pytest.raises(ValueError, match="temperature must be above 0"):
        mltq.distill(student, student, temperature=0)
    with pytest.raises(ValueError, match="teacher_weight must be from 0 to 1"):
        mltq.distill(student, student, teacher_weight=2)
    with pytest.raises(ValueError, match=r"outputs of shape \(None, 3\), the teacher of \(None, 4"):
        mltq.distill(student, classifier(keras, classes=4))
    if keras is not keras3:
        with pytest.raises(mltq.UnsupportedModelError, match="do not mix"):
            mltq.distill(student, classifier(keras3))
