"""What works where packages are missing: each script runs in a process that cannot import them."""

import subprocess
import sys
import textwrap

import pytest

TENSORFLOW = ("tensorflow", "tf_keras", "tensorflow_model_optimization")


def run(script, missing, backend="jax"):
    """Output of a script in a process without the packages ``missing``."""
    code = f"import sys\nfor name in {missing!r}: sys.modules[name] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", code + textwrap.dedent(script)],
        env={"KERAS_BACKEND": backend, "PATH": "/usr/bin:/bin", "HOME": "/tmp"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_quantization_needs_no_tensorflow(backend, tmp_path):
    script = f"""
        import numpy as np, keras
        import tfmot_mltq as mltq
        model = keras.Sequential([keras.Input((6,)), *(keras.layers.Dense(6) for _ in range(3))])
        q = mltq.quantize_model(model)
        q.compile("adam", "mse")
        q.fit(np.ones((8, 6)), np.zeros((8, 6)), verbose=0)
        mltq.calibrate(q, np.ones((8, 6), np.float32))
        mltq.summary(q)
        planes, scales = mltq.ternary_weights(q.get_layer(model.layers[1].name))
        assert planes.shape == (2, 6, 6)
        mltq.strip(q).predict(np.ones((1, 6)), verbose=0)
        q.save({str(tmp_path / "q.keras")!r})
        keras.models.load_model({str(tmp_path / "q.keras")!r})
        try:
            mltq.convert(q)
        except mltq.ConversionError as error:
            print(error)
        try:
            mltq.quantize_scope
        except ImportError as error:
            print(error)
        assert not any(name.startswith("tfmot_mltq.tfmot.") for name in sys.modules)
    """
    output = run(script, TENSORFLOW, backend)
    assert f"Keras runs on '{backend}'" in output
    assert "tfmot_mltq.quantize_scope needs" in output
    assert "pip install 'tfmot-mltq[tfmot]'" in output


def test_conversion_without_tensorflow_says_what_to_install():
    script = """
        from tfmot_mltq.layout.frameworks import import_with_extra
        try:
            import_with_extra(
                "tfmot_mltq.converter.stock_int8", ("tensorflow",), "tensorflow", "mltq.convert"
            )
        except ImportError as error:
            print(error)
    """
    assert "mltq.convert needs tensorflow" in run(script, TENSORFLOW)


def test_the_package_itself_needs_no_framework():
    script = """
        import tfmot_mltq as mltq
        mltq.MultiLevelConfig(levels=2)
        mltq.Interpreter, mltq.quantize_model
        try:
            mltq.quantize_model("model.keras")
        except mltq.UnsupportedModelError as error:
            print(error)
    """
    assert "got str" in run(script, (*TENSORFLOW, "keras", "jax", "torch"))


def test_a_backend_that_cannot_train_is_refused():
    script = """
        import keras
        import tfmot_mltq as mltq
        model = keras.Sequential([keras.Input((6,)), *(keras.layers.Dense(6) for _ in range(3))])
        try:
            mltq.quantize_model(model)
        except mltq.UnsupportedModelError as error:
            print(error)
    """
    output = run(script, TENSORFLOW, backend="numpy")
    assert "'numpy', which cannot train" in output
    assert "KERAS_BACKEND" in output


def test_the_tf_keras_path_does_not_need_keras_3_layers():
    """TensorFlow imports keras by itself; of ours only what registers its classes is loaded."""
    script = """
        import sys
        import numpy as np, tf_keras
        import tfmot_mltq as mltq
        layers = [tf_keras.layers.Dense(6) for _ in range(3)]
        model = tf_keras.Sequential([tf_keras.layers.InputLayer((6,)), *layers])
        mltq.quantize_model(model)
        assert "tfmot_mltq.keras.quantize" not in sys.modules
        assert "tfmot_mltq.keras.adapter" not in sys.modules
    """
    run(script, (), backend="tensorflow")
