"""What users' own code brings along: classes, functions, names, files, callbacks, data sets."""

import re
import warnings

import keras as keras_3
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

import tfmot_mltq as mltq
from tfmot_mltq.command_line.main import main
from tfmot_mltq.layout.names import flat_names, scope_name

RNG = np.random.default_rng(5)
IMAGES = RNG.normal(size=(16, 8, 8, 3)).astype(np.float32)
LABELS = RNG.integers(0, 4, 16)
SCHEDULE = mltq.PolynomialDecay(0.3, 0.9, 0, 8, frequency=1)


@pytest.fixture(params=[keras_3, tf_keras], ids=["keras", "tf_keras"])
def keras(request):
    request.param.utils.set_random_seed(3)
    return request.param


def tensors(keras, *between, name="conv"):
    """Input and output of a small network with layers between its convolutions."""
    inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(8, 3, activation="relu", name="stem")(inputs)
    for layer in (*between, keras.layers.Conv2D(8, 3, name=name), keras.layers.Flatten()):
        x = layer(x)
    return inputs, keras.layers.Dense(4, activation="softmax", name="head")(x)


def network(keras, *between, **kwargs):
    return keras.Model(*tensors(keras, *between, **kwargs))


def agrees(q, data=IMAGES):
    """Whether a model computes on the device what Keras computes, to three steps of its output."""
    tflite = mltq.convert(q, data)
    difference = mltq.Interpreter(tflite).predict(data) - q.predict(data, verbose=0)
    return np.abs(difference).max() <= 3 / 256


def messages(call, *args, **kwargs):
    """The warnings of this package that a call prints, and what it returns."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call(*args, **kwargs)
    return [str(w.message) for w in caught if w.category is UserWarning], result


# Classes ------------------------------------------------------------------------------------------


CALLED = []


def classes(keras):
    """A class with steps of its own, and others that Keras can build from inputs and outputs."""

    class Counting(keras.Model):
        def train_step(self, data):
            CALLED.append("train")
            return super().train_step(data)

        def test_step(self, data):
            CALLED.append("test")
            return super().test_step(data)

        def predict_step(self, data):
            CALLED.append("predict")
            return super().predict_step(data)

        def compute_loss(self, *args, **kwargs):
            CALLED.append("loss")
            return super().compute_loss(*args, **kwargs)

    class WithArguments(Counting):
        def __init__(self, inputs, outputs, factor=0.1, **kwargs):
            super().__init__(inputs, outputs, **kwargs)
            self.factor = factor
            self.seen = keras.metrics.Mean(name="seen")

    class OtherNames(Counting):
        def __init__(self, first, last):
            super().__init__(inputs=first, outputs=last)

    class Anything(Counting):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)

    return {cls.__name__: cls for cls in (Counting, WithArguments, OtherNames, Anything)}


@pytest.mark.parametrize("name", ["Counting", "WithArguments", "OtherNames", "Anything"])
def test_classes_are_kept(keras, name):
    cls = classes(keras)[name]
    model = cls(*tensors(keras))
    q = mltq.quantize_model(model)
    p = mltq.prune_low_magnitude(q, mltq.ConstantSparsity(0.8, 0))
    assert type(q) is type(p) is cls
    assert p.name == model.name or name == "OtherNames"
    p.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    CALLED.clear()
    p.fit(IMAGES, LABELS, verbose=0, callbacks=[mltq.UpdatePruningStep()])
    p.evaluate(IMAGES, LABELS, verbose=0)
    p.predict(IMAGES, verbose=0)
    assert {"train", "test", "predict", "loss"} == set(CALLED)
    stripped = mltq.strip(p)
    assert type(stripped) is cls
    assert not messages(mltq.convert, p)[0]


def test_annotated_models_keep_their_class(keras):
    cls = classes(keras)["Counting"]
    layer = mltq.quantize_annotate_layer(keras.layers.Conv2D(4, 3))
    assert type(mltq.quantize_apply(cls(*tensors(keras, layer)))) is cls


def test_attributes_of_a_user_are_kept(keras):
    cls = classes(keras)["WithArguments"]
    model = cls(*tensors(keras), factor=0.7)
    model.notes = {"who": ["me"]}
    model.weighting = len
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(IMAGES, LABELS, verbose=0)
    model.teacher = network(keras)
    found, q = messages(mltq.quantize_model, model)
    assert q.factor == 0.7
    assert q.notes == {"who": ["me"]}
    assert q.weighting is len
    assert isinstance(q.seen, keras.metrics.Mean)
    assert q.seen is not model.seen
    assert not hasattr(q, "teacher")
    assert len(found) == 1
    assert re.match(r"teacher of '.*' \(WithArguments\) hold weights", found[0])


def test_saved_models_keep_their_class(keras, tmp_path):
    cls = classes(keras)["Counting"]
    q = mltq.quantize_model(cls(*tensors(keras)))
    mltq.calibrate(q, IMAGES)
    q.save(tmp_path / "q.keras")
    loaded = keras.models.load_model(tmp_path / "q.keras", custom_objects={"Counting": cls})
    assert type(loaded) is type(mltq.strip(loaded)) is cls
    np.testing.assert_array_equal(loaded.predict(IMAGES, verbose=0), q.predict(IMAGES, verbose=0))


def test_classes_that_cannot_be_rebuilt_are_named(keras):
    class OwnGraph(classes(keras)["Counting"]):
        def __init__(self, filters=4, **kwargs):
            super().__init__(*tensors(keras, keras.layers.Conv2D(filters, 1)), **kwargs)

    class Chain(keras.Sequential):
        def train_step(self, data):
            return super().train_step(data)

    class Doubles(keras.Model):
        def __init__(self, inputs, outputs):
            super().__init__(inputs, keras.layers.Concatenate()([outputs, outputs]))

        def train_step(self, data):
            return super().train_step(data)

    chain = Chain([keras.Input((6,)), *(keras.layers.Dense(4) for _ in range(3))])
    for model in (OwnGraph(), chain, Doubles(*tensors(keras))):
        found, q = messages(mltq.quantize_model, model)
        assert not isinstance(q, type(model))
        kind = type(model).__name__
        assert len(found) == 1
        assert re.match(rf"train_step.* of class {kind} (is|are) not kept: {kind}\(", found[0])
        assert "Give the class a constructor" in found[0]

    class OnlyBuilds(keras.Model):
        def __init__(self):
            super().__init__(*tensors(keras))

    assert not messages(mltq.quantize_model, OnlyBuilds())[0]  # nothing is lost


def test_an_overridden_call_is_refused(keras):
    class Doubled(keras.Model):
        def call(self, inputs, **kwargs):
            return 2 * super().call(inputs, **kwargs)

    model = Doubled(*tensors(keras))
    nested = keras.Sequential([keras.Input((8, 8, 3)), model, keras.layers.Dense(2)])
    for found in (model, nested):
        with pytest.raises(mltq.UnsupportedModelError, match=r"\(Doubled\) overrides call"):
            mltq.quantize_model(found)
        with pytest.raises(mltq.UnsupportedModelError, match=r"\(Doubled\) overrides call"):
            mltq.prune_low_magnitude(found, SCHEDULE, granularity="word")


def test_steps_that_distillation_does_not_use_are_named(keras):
    q = mltq.quantize_model(classes(keras)["Counting"](*tensors(keras)))
    found, distiller = messages(mltq.distill, q, network(keras))
    assert re.match(r"train_step.* of class Counting are not used: mltq.distill", found[0])
    distiller.compile("sgd", "sparse_categorical_crossentropy")
    distiller.fit(IMAGES, LABELS, verbose=0)


def test_an_attribute_called_student_is_no_distillation(keras):
    p = mltq.prune_low_magnitude(mltq.quantize_model(network(keras)), SCHEDULE)
    p.student = "Ada"
    p.compile("sgd", "sparse_categorical_crossentropy")
    p.fit(IMAGES, LABELS, verbose=0, callbacks=[mltq.UpdatePruningStep()])


def test_a_search_on_disk_keeps_class_and_layers_of_a_user(keras, tmp_path):
    cls = classes(keras)["WithArguments"]  # Keras cannot load it from a file
    q = mltq.quantize_model(cls(*tensors(keras, scaling(keras)(3.0)), factor=0.7))

    def train(model, callbacks):
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(IMAGES, LABELS, verbose=0, callbacks=callbacks)

    result = mltq.sparsify(
        q, train, lambda model: 1.0, sparsities=[0.8], directory=tmp_path, reference_accuracy=1.0
    )
    assert type(result.model) is cls
    assert result.model.factor == 0.7


# Functions and layers -----------------------------------------------------------------------------


def scaling(keras):
    """A layer of a user with a complete configuration."""

    class Scaling(keras.layers.Layer):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def build(self, input_shape):
            shape = (int(input_shape[-1]),)
            self.gain = self.add_weight(name="gain", shape=shape, initializer="ones")
            super().build(input_shape)

        def call(self, x):
            return x * self.factor * self.gain

        def compute_output_shape(self, input_shape):
            return input_shape

        def get_config(self):
            return {**super().get_config(), "factor": self.factor}

    return Scaling


def multiplied_by(factor):
    def multiply(x):
        return x * factor

    return multiply


GLOBAL_FACTOR = 0.5


@pytest.mark.parametrize("kind", ["lambda", "closures", "arguments", "nested", "shape and mask"])
def test_lambda_layers_are_quantized(keras, kind):
    wrap = keras.layers.Lambda
    inner = keras.Input((6, 6, 8))
    layers = {
        "lambda": lambda: [wrap(lambda x: x * GLOBAL_FACTOR)],
        "closures": lambda: [wrap(multiplied_by(0.5)), wrap(multiplied_by(3.0))],
        "arguments": lambda: [wrap(lambda x, by: x * by, arguments={"by": 2.0})],
        "nested": lambda: [keras.Model(inner, wrap(multiplied_by(0.25))(inner))],
        "shape and mask": lambda: [
            wrap(lambda x: x[:, :4] * 2.0, output_shape=(4, 6, 8), mask=lambda x, mask: mask)
        ],
    }[kind]()
    model = network(keras, *layers)
    q = mltq.quantize_model(model, levels=4, refit=True)
    mltq.calibrate(q, IMAGES)
    found = [layer for layer in q.layers if type(layer) is keras.layers.Lambda]
    assert len(found) == (2 if kind == "closures" else 1)
    expected = model.predict(IMAGES, verbose=0)
    assert np.abs(q.predict(IMAGES, verbose=0) - expected).max() < 0.1
    stripped = mltq.strip(mltq.prune_low_magnitude(q, SCHEDULE))
    assert np.abs(stripped.predict(IMAGES, verbose=0) - expected).max() < 0.1
    assert agrees(q)


def test_functions_that_cannot_be_copied_are_named(keras):
    layers = keras.layers
    unsafe = layers.TimeDistributed(layers.Lambda(lambda x: 2 * x), name="repeated")
    with pytest.raises(mltq.UnsupportedModelError, match=r"'repeated'.* wraps a Lambda layer"):
        mltq.quantize_model(network(keras, unsafe))
    activated = layers.Conv2D(4, 1, activation=lambda x: x * 0.5, name="activated")
    with pytest.raises(mltq.UnsupportedModelError, match="activation of layer 'activated' is a la"):
        mltq.quantize_model(network(keras, activated))


def test_activation_functions_of_a_user_are_quantized(keras):
    q = mltq.quantize_model(network(keras, keras.layers.Conv2D(8, 1, activation=multiplied_by(2))))
    assert agrees(q)


def test_layers_of_a_user_are_quantized(keras):
    layers = keras.layers
    model = network(keras, scaling(keras)(2.0), layers.TimeDistributed(scaling(keras)(0.5)))
    q = mltq.quantize_model(model, levels=4, refit=True)
    p = mltq.prune_low_magnitude(q, SCHEDULE)
    expected = model.predict(IMAGES, verbose=0)
    for result in (q, p, mltq.strip(p)):
        assert np.abs(result.predict(IMAGES, verbose=0) - expected).max() < 0.1
    assert agrees(mltq.quantize_model(network(keras, scaling(keras)(2.0))))


def test_layers_that_wrap_others_are_quantized(keras):
    layers = keras.layers
    dense = layers.Dense(8, name="inner one" if keras is keras_3 else "inner")
    between = [layers.TimeDistributed(dense), layers.Lambda(lambda x: x * 0.5)]
    annotated = mltq.quantize_annotate_layer(layers.Conv2D(8, 1))
    assert agrees(mltq.quantize_model(network(keras, *between)))
    assert agrees(mltq.quantize_apply(network(keras, annotated, *between)))


def test_layers_without_a_complete_configuration_are_named(keras):
    class Forgetful(scaling(keras)):
        def get_config(self):
            config = super().get_config()
            del config["factor"]
            return config

    class OfFunction(keras.layers.Layer):
        def __init__(self, function, **kwargs):
            super().__init__(**kwargs)
            self.function = function

        def call(self, x):
            return self.function(x)

    class WrongWidth(keras.layers.Layer):
        def __init__(self, width=3, **kwargs):
            super().__init__(**kwargs)
            self.width = width

        def build(self, input_shape):
            self.matrix = self.add_weight(name="matrix", shape=(int(input_shape[-1]), self.width))
            super().build(input_shape)

        def call(self, x):
            return x @ self.matrix

        def get_config(self):
            return super().get_config()

    for make, argument in ((Forgetful, 2.0), (OfFunction, abs), (WrongWidth, 5)):
        layer = make(argument, name="mine")
        with pytest.raises(mltq.UnsupportedModelError) as error:
            mltq.quantize_model(network(keras, layer))
        kind = type(layer).__name__
        assert "Layer 'mine' " in str(error.value)
        assert f"Give {kind} a get_config that returns all arguments" in str(error.value)
        assert "\n" not in str(error.value)


# Names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conv 1", "conv_1"), ("é.b/c-d>e", "e.b/c-d>e"), ("größe", "gro_e"), ("a:b", "a_b"),
        ("层", "layer_"), (" ", "layer_"), ("_x", "layer_x"), ("a\\b", "a_b"),
        ("x" * 300, "x" * 300),
    ],
)  # fmt: skip
def test_names_that_tensorflow_takes(name, expected):
    assert scope_name(name) == expected


@pytest.mark.parametrize("name", ["my image", "größe (1)"])
def test_names_with_any_characters(name):
    odd = ["my layer", "größe (2)", "_x", "层", "a.b:c", "a.b_c", "-a", "x" * 300]
    keras_3.utils.set_random_seed(3)
    layers = keras_3.layers
    inputs = x = keras_3.Input((4, 4, 3), name=name)
    for layer in ["first", *odd]:
        x = layers.Conv2D(4, 1, name=layer)(x)
    x = layers.Dense(4, activation="softmax", name="last")(layers.Flatten()(x))
    q = mltq.quantize_model(keras_3.Model(inputs, x, name=name))
    assert agrees(q, IMAGES[:, :4, :4])
    names = [entry["name"] for entry in mltq.summary(q, print_table=False)["layers"]]
    assert names == [
        "my_layer", "gro_e__2_", "layer_x", "layer_", "a.b_c", f"{scope_name(name)}_a.b_c",
        "layer-a", "x" * 300,
    ]  # fmt: skip
    assert (q.inputs[0].name, q.name) == (name, scope_name(name))


def test_names_of_tf_keras_models():
    inputs = tf_keras.Input((8, 8, 3), name="my image")
    x = tf_keras.layers.Conv2D(4, 3, name="block/conv")(inputs)
    x = tf_keras.layers.Conv2D(4, 3, name="block/conv.2")(x)
    x = tf_keras.layers.Dense(4, activation="softmax")(tf_keras.layers.Flatten()(x))
    assert agrees(mltq.quantize_model(tf_keras.Model(inputs, x, name="my model")))


@pytest.mark.parametrize("kind", ["separable", "activation", "range", "levels", "input"])
def test_names_that_are_made_up_collide_with_none(keras, kind):
    layers = keras.layers
    layer, name = {
        "separable": lambda: (layers.SeparableConv2D(4, 3, name="x"), "x_depthwise"),
        "activation": lambda: (layers.Conv2D(4, 3, activation="sigmoid", name="x"), "x_sigmoid"),
        "range": lambda: (layers.Conv2D(4, 3, name="x"), "quantize_x"),
        "levels": lambda: (layers.Conv2D(4, 3, name="x"), "ternarize_x"),
        "input": lambda: (layers.Conv2D(4, 3, name="x"), "quantize_image"),
    }[kind]()
    model = network(keras, layer, name=name)
    options = {"activation_levels": 1} if kind == "levels" else {}
    if keras is tf_keras and kind in ("range", "levels", "input"):  # wrapped: quant_quantize_x
        q = mltq.quantize_model(model, **options)
        assert q.predict(IMAGES, verbose=0).shape == (16, 4)
        return
    message = rf"Two layers would be called '{name}': .*'(x|image)'.*'{name}'\. Rename"
    with pytest.raises(mltq.UnsupportedModelError, match=message):
        mltq.quantize_model(model, **options)


@pytest.mark.parametrize("other", ["x_relu", "quant_x", "x_pointwise"])
def test_names_that_only_look_alike(keras, other):
    layer = keras.layers.Conv2D(8, 1, activation="relu", name="x")
    q = mltq.quantize_model(network(keras, layer, name=other))
    names = [entry["name"] for entry in mltq.summary(q, print_table=False)["layers"]]
    assert names == (["x", other] if keras is keras_3 else ["quant_x", f"quant_{other}"])


def test_one_name_in_several_nested_models(keras):
    def nested(name, *layers):
        inputs = keras.Input((6, 6, 8))
        x = keras.layers.Conv2D(8, 1, name="conv")(inputs)
        for layer in layers:
            x = layer(x)
        return keras.Model(inputs, x, name=name)

    model = network(keras, nested("a", nested("b")), nested("c", nested("b")))
    q = mltq.quantize_model(model)
    names = [entry["name"] for entry in mltq.summary(q, print_table=False)["layers"]]
    assert [name.removeprefix("quant_") for name in names] == [
        "a_conv", "b_conv", "c_conv", "b_conv_1", "conv",
    ]  # fmt: skip
    assert len(flat_names([(layer, "m") for layer in q.layers], ())) == len(q.layers)


# Files --------------------------------------------------------------------------------------------


def plain_module(path):
    module = tf.Module()
    signature = tf.TensorSpec((1, 4), tf.float32)
    module.call = tf.function(lambda x: 2 * x, input_signature=[signature])
    tf.saved_model.save(module, path)


def exported(path):
    network(keras_3).export(path, verbose=False)


def weights_alone(path):
    network(keras_3).save_weights(path)


def text(path):
    path.write_text("a network")


def other_archive(path):
    np.savez(path.with_suffix(".npz"), x=np.zeros(3))
    path.with_suffix(".npz").rename(path)


def unknown_layer(path):
    network(keras_3, scaling(keras_3)(2.0)).save(path)


@pytest.mark.parametrize(
    ("write", "name", "message"),
    [
        (exported, "folder", "SavedModel without Keras layers, as model.export of Keras 3"),
        (plain_module, "folder", "SavedModel without Keras layers"),
        (lambda path: path.mkdir(), "folder", "is not a SavedModel: it has no saved_model.pb"),
        (weights_alone, "m.weights.h5", "holds only weights, without a model"),
        (text, "m.keras", "is neither a .keras nor an .h5 file"),
        (other_archive, "m.keras", "is a ZIP archive, but not a Keras model"),
        (unknown_layer, "m.keras", "call mltq.convert there"),
    ],
)
def test_files_that_cannot_be_converted(write, name, message, tmp_path, capsys):
    path = tmp_path / name
    write(path)
    capsys.readouterr()
    assert main(["convert", str(path), f"--output={tmp_path / 'out.tflite'}"]) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"mltq convert: {path}")
    assert message in said
    assert "model.save('model.keras')" in said
    assert not (tmp_path / "out.tflite").exists()


# Sparsities ---------------------------------------------------------------------------------------


def trained(p, steps):
    """A pruned model after so many steps of its schedule, which leave its float weights alone."""
    update = mltq.UpdatePruningStep()
    update.set_model(p)
    update.on_train_begin()
    for _ in range(steps):
        update.on_train_batch_begin(-1)
    update.on_epoch_end(-1)
    update.on_train_end()
    return p


def said_of(call, model):
    """The one warning about a model that is not sparse enough."""
    (found,) = messages(call, model)[0]
    assert "restore_best_weights" in found
    assert f"'{model.name}' is less sparse than its pruning schedule asks for: " in found
    return found


def figures(model):
    return mltq.summary(model, print_table=False)


def test_an_earlier_epoch_is_less_sparse(keras, tmp_path):
    float_model = network(keras)
    answers = float_model.predict(IMAGES, verbose=0).argmax(1)
    p = mltq.prune_low_magnitude(
        mltq.quantize_model(float_model, levels=4, refit=True),
        mltq.PolynomialDecay(0.6, 0.95, 4, 16, frequency=1),
    )
    p.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    best = keras.callbacks.EarlyStopping("val_loss", patience=9, restore_best_weights=True)
    path = str(tmp_path / "{epoch}.weights.h5")
    every = keras.callbacks.ModelCheckpoint(path, save_weights_only=True)
    p.fit(
        IMAGES, answers, 4, epochs=5, validation_data=(IMAGES, answers), verbose=0,
        callbacks=[mltq.UpdatePruningStep(), best, every],
    )  # fmt: skip
    pattern = r"(quant_)?conv has 0\.\d+ of 0\.9500 \(bit level\) after 4 of 16 steps"
    for call in (mltq.convert, figures):
        assert re.search(pattern, said_of(call, p))
    p.load_weights(path.format(epoch=5))
    assert not messages(mltq.convert, p)[0]
    p.load_weights(path.format(epoch=1))
    assert re.search(pattern, said_of(figures, p))


def test_a_schedule_that_has_not_ended_is_said(keras):
    p = mltq.prune_low_magnitude(mltq.quantize_model(network(keras)), SCHEDULE)
    assert "of 0.9000 (bit level) after 0 of 8 steps" in said_of(figures, p)
    assert "of 0.9000 (bit level) after 5 of 8 steps" in said_of(figures, trained(p, 5))
    assert not messages(figures, trained(p, 5))[0]


SCHEDULES = {
    "rises": SCHEDULE,
    "at once": mltq.ConstantSparsity(0.8, 0, 0),
    "endless": mltq.ConstantSparsity(0.8, 3, frequency=5),
    "TFMOT rises": tfmot.sparsity.keras.PolynomialDecay(0.2, 0.85, 1, 11, frequency=4),
    "TFMOT constant": tfmot.sparsity.keras.ConstantSparsity(0.77, 2, frequency=3),
}
OPTIONS = [
    {}, {"scope": "global"}, {"granularity": "word"}, {"granularity": "word", "scope": "global"},
    {"granularity": "word", "block_size": (2, 4)}, {"granularity": "word", "block_size": "channel"},
    {"scope": "global", "sparsity_of": "work", "criterion": "relative_error_per_work"},
]  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_sparsities_that_were_met_are_no_alarm(name):
    layers = (keras_3.layers.Conv2D(8, 3, padding="same") for _ in range(2))
    q = mltq.quantize_model(network(keras_3, *layers))
    for options in OPTIONS:
        p = mltq.prune_low_magnitude(q, SCHEDULES[name], **options)
        assert not messages(figures, trained(p, 12))[0], options
        assert not messages(figures, trained(p, 3))[0], options  # and goes on


def test_no_alarm_after_a_pruned_float_model_is_quantized(keras):
    p = mltq.prune_low_magnitude(network(keras), SCHEDULE, granularity="word")
    assert not messages(figures, mltq.quantize_model(trained(p, 8)))[0]


# Representative data sets -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def float_model():
    return mltq.quantize_model(network(keras_3))


@pytest.mark.parametrize(
    ("dataset", "error", "message"),
    [
        ([(IMAGES, LABELS)], ValueError, "gave 2 arrays; .* drop the labels"),
        ((IMAGES, LABELS), ValueError, r"has shape \(16,\); .* drop the labels"),
        ([((IMAGES,), LABELS)], ValueError, "a tuple with inputs in it.* drop the labels"),
        ([({"image": IMAGES}, LABELS)], ValueError, "drop the labels"),
        (
            tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(4), ValueError,
            r"dataset.map\(lambda x, y: x\)",
        ),
        ([IMAGES[0]], ValueError, r"batch dimension: sample\[None\]"),
        (IMAGES[..., 0], ValueError, r"has shape \(16, 8, 8\); the model takes \(batch, 8, 8, 3\)"),
        (IMAGES[:0], ValueError, "is empty"),
        ([IMAGES[:0]], ValueError, "is empty"),
        (IMAGES * np.nan, ValueError, "holds NaN or infinity"),
        ([IMAGES.astype(complex)], TypeError, "not an array of numbers: .*complex128"),
        ([["1.0"]], TypeError, "not an array of numbers"),
        ({"image": IMAGES}, TypeError, "of type dict"),
    ],
)  # fmt: skip
def test_data_sets_that_do_not_fit(dataset, error, message, float_model):
    with pytest.raises(error, match=message):
        mltq.calibrate(float_model, dataset)
    assert float_model.get_layer("quantize_image").get_weights()[2] == 0


def test_few_samples_are_said(float_model):
    found = messages(mltq.calibrate, float_model, IMAGES[:2])[0]
    assert len(found) == 1
    assert "has only 2 samples" in found[0]
    assert not messages(mltq.calibrate, float_model, IMAGES)[0]
    assert not messages(mltq.convert, float_model, IMAGES[:1])[0]  # it has its ranges


@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool"])
def test_integer_inputs(keras, dtype):
    inputs = keras.Input((6, 6, 2), dtype=dtype, name="image")
    x = keras.layers.Lambda(lambda t: tf.cast(t, tf.float32), output_shape=(6, 6, 2))(inputs)
    x = keras.layers.Flatten()(x)
    q = mltq.quantize_model(keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dense(4)(x))))
    top = {"uint8": 255, "int32": 2**24 + 1, "bool": 1}[dtype]
    data = RNG.integers(0, 2, (8, 6, 6, 2)).astype(dtype)
    mltq.calibrate(q, data)
    mltq.calibrate(q, data.astype(np.float64))  # whole numbers are whatever their type
    for wrong in (np.full((8, 6, 6, 2), 0.5), np.full((8, 6, 6, 2), top * 2.0**20)):
        with pytest.raises(ValueError, match=f"'image' .* but the model takes {dtype} there"):
            mltq.calibrate(q, wrong)


def test_integers_keep_every_bit():
    from tfmot_mltq.helpers.representative_dataset import InputSpec, batches

    spec = InputSpec("x", (None, 1), np.dtype(np.int32))
    large = np.array([[2**24 + 1], [-(2**31)]], np.int64)
    ((values,),) = batches(large, [spec])
    assert values.dtype == np.int32
    np.testing.assert_array_equal(values, large)


def test_steps_of_several_inputs_have_one_size(keras):
    inputs = [keras.Input((4,), name=name) for name in "ab"]
    x = keras.layers.Dense(4)(keras.layers.Add()(inputs))
    q = mltq.quantize_model(keras.Model(inputs, keras.layers.Dense(3)(x)))
    with pytest.raises(ValueError, match="numbers of samples: 8 of 'a', 7 of 'b'"):
        mltq.calibrate(q, [[np.ones((8, 4)), np.ones((7, 4))]])
