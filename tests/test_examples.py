"""The examples run as a user runs them; results go to a temporary folder."""

import importlib
import itertools
import json
import pathlib
import subprocess
import sys
import wave

import numpy as np
import pytest
import speech
from backend_runs import one_thread_environment

import tfmot_mltq as mltq

ROOT = pathlib.Path(__file__).parent.parent
KEYS = {
    "float_accuracy", "keras_accuracy", "tflm_accuracy", "litert_accuracy", "float_tflite_bytes",
    "int8_tflite_bytes", "mltq_tflite_bytes", "bit_density", "word_density",
    "potential_speedup_bit", "potential_speedup_word", "arena_bytes",
}  # fmt: skip


def run(script, *arguments, backend="tensorflow"):
    command = [sys.executable, str(ROOT / "examples" / script), *arguments]
    environment = one_thread_environment(KERAS_BACKEND=backend)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(
    ("framework", "backend"),
    [
        ("keras", "tensorflow"),
        ("keras", "jax"),
        pytest.param("keras", "torch", marks=pytest.mark.slow),  # tests/backends has it, too
        ("tf_keras", "tensorflow"),
    ],
)
def test_digits(framework, backend, tmp_path):
    output = run(
        "digits.py",
        f"--output={tmp_path}",
        "--epochs=8",
        "--fine_tune_epochs=5",
        f"--keras={framework}",
        backend=backend,
    )
    result = json.loads((tmp_path / "result.json").read_text())
    assert set(result) == KEYS
    assert result["tflm_accuracy"] > 0.9
    assert abs(result["tflm_accuracy"] - result["keras_accuracy"]) <= 0.01
    assert result["mltq_tflite_bytes"] < result["int8_tflite_bytes"] < result["float_tflite_bytes"]
    for figure in (result["mltq_tflite_bytes"], result["arena_bytes"]):
        assert f"{figure:,}" in output

    from sklearn.datasets import load_digits

    import tfmot_mltq as mltq

    keras = importlib.import_module(framework)

    images = (load_digits().images / 16).astype(np.float32)[..., None]
    tflite = (tmp_path / "digits.tflite").read_bytes()
    on_tflm = mltq.Interpreter(tflite).predict(images)
    on_litert = mltq.Interpreter(tflite, "litert", reference_kernels=True).predict(images)
    np.testing.assert_array_equal(on_tflm, on_litert)
    in_keras = keras.models.load_model(tmp_path / "digits.keras").predict(images, verbose=0)
    assert np.mean(np.argmax(on_tflm, 1) == np.argmax(in_keras, 1)) >= 0.99


@pytest.fixture
def small_cifar10(tmp_path):
    """Random images, and an untrained model for them: the path, not the accuracy."""
    import keras

    rng = np.random.default_rng(0)
    arrays = {
        name: rng.integers(0, size, shape, dtype=np.uint8)
        for name, size, shape in (
            ("x_train", 256, (300, 32, 32, 3)),
            ("y_train", 10, (300, 1)),
            ("x_test", 256, (40, 32, 32, 3)),
            ("y_test", 10, (40, 1)),
        )
    }
    np.savez(tmp_path / "data.npz", **arrays)
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3, strides=4)(inputs)
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    x = keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(x))
    keras.Model(inputs, x).save(tmp_path / "model.keras")


def test_resnet8_cifar10(small_cifar10, tmp_path):
    arguments = (
        f"--data={tmp_path / 'data.npz'}", f"--output={tmp_path}", "--tflm_images=20",
    )  # fmt: skip
    model = f"--model={tmp_path / 'model.keras'}"
    run("resnet8_cifar10.py", model, *arguments, "--speed_steps=2", backend="jax")
    trained = json.loads((tmp_path / "levels2.json").read_text())
    assert trained["backend"] == "jax"
    assert trained["images_per_second"].keys() == {"float", "quantized"}
    assert "tflite_bytes" not in trained

    run("resnet8_cifar10.py", f"--model={tmp_path / 'levels2.keras'}", *arguments, "--epochs=0")
    result = json.loads((tmp_path / "levels2.json").read_text())
    assert result["tflm_images"] == 20
    assert abs(result["accuracy_fine_tuned"] - trained["accuracy_fine_tuned"]) <= 0.05
    assert result["weight_bytes"] == trained["weight_bytes"]
    assert (tmp_path / "levels2.tflite").stat().st_size == result["tflite_bytes"]


def test_resnet8_pruning(small_cifar10, tmp_path):
    arguments = (
        f"--data={tmp_path / 'data.npz'}", f"--output={tmp_path / 'runs'}",
        f"--start={tmp_path / 'model.keras'}", f"--model={tmp_path / 'float.keras'}",
        "--float_epochs=0.5", "--epochs=1.5", "--batch_size=32", "--kinds=ternary,binary",
        "--speedups=1,15", "--tflm_images=10", "--float_learning_rate=1e-4",
        "--learning_rate=1e-4",
    )  # fmt: skip
    run("resnet8_pruning.py", *arguments)
    path = tmp_path / "runs" / "results.jsonl"
    results = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(result["kind"], result["speedup"]) for result in results] == [
        ("ternary", 1.0), ("ternary", 15.0), ("binary", 1.0),
    ]  # fmt: skip
    plain, pruned, binary = (result["potential_speedup_bit"] for result in results)
    # 144 weights of one layer: the budget is met to one of 288 bits.
    assert 15 <= pruned < 16.5
    assert 1 == binary < plain < 3
    # Nothing is repeated.
    run("resnet8_pruning.py", *arguments)
    assert len(path.read_text().splitlines()) == 3
    run("resnet8_pruning.py", *arguments, f"--plot={tmp_path / 'plot.png'}")
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_rebnet(small_cifar10, tmp_path):
    """Training, what is there already, and pruning."""
    arguments = (
        f"--data={tmp_path / 'data.npz'}", f"--output={tmp_path / 'runs'}", "--width=0.0625",
        "--levels=2", "--epochs=1.2", "--batch_size=64", "--tflm_images=10",
    )  # fmt: skip
    run("rebnet.py", *arguments)
    path = tmp_path / "runs" / "results.jsonl"
    ternary, binary = (json.loads(line) for line in path.read_text().splitlines())
    for side in ("one_sided", "two_sided"):
        assert binary[side] == {"bit": 1.0, "word": 1.0}
        assert ternary[side]["bit"] > 1.2
    assert ternary["two_sided"]["word"] > ternary["one_sided"]["word"]
    assert 0 <= ternary["tflm_accuracy"] <= 1
    pruning = ("--speedups=10", "--pruning_epochs=1", "--granularity=word")
    run("rebnet.py", *arguments, *pruning)
    run("rebnet.py", *arguments)
    lines = path.read_text().splitlines()
    assert len(lines) == 3
    pruned = json.loads(lines[-1])
    assert pruned["one_sided"]["word"] == pytest.approx(10, rel=0.05)
    assert (tmp_path / "runs" / "cnn_ternary_2_word_10.0x.keras").exists()


def test_digits_sparsify(tmp_path):
    """One short search: nothing is good enough, and all is written nevertheless."""
    run(
        "digits_sparsify.py", f"--output={tmp_path}", "--epochs=4", "--fine_tune_epochs=1",
        "--granularities=word", "--max_accuracy_drop=0",
    )  # fmt: skip
    result = json.loads((tmp_path / "result.json").read_text())["word"]
    assert len(result["trials"]) >= 3
    for name in ("word.html", "word.png", "word.json", "word/trials.json"):
        assert (tmp_path / name).stat().st_size > 500


def write_wav(path, samples, rate=8000, channels=1):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


@pytest.fixture
def recordings(tmp_path):
    """Tones instead of digits: ten pitches by two speakers, twelve times each."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "recordings"
    folder.mkdir()
    for digit, speaker, number in itertools.product(range(10), range(2), range(12)):
        time = np.arange(rng.integers(2500, 9500)) / 8000
        tone = 0.4 * np.sin(2 * np.pi * 200 * 1.35**digit * (1 + 0.03 * speaker) * time)
        write_wav(folder / f"{digit}_speaker{speaker}_{number}.wav", tone)
    return folder


def test_spoken_digits(recordings, tmp_path):
    output = tmp_path / "results"
    run(
        "spoken_digits.py", f"--data={recordings}", f"--output={output}", "--filters=8",
        "--epochs=30", "--fine_tune_epochs=10", "--sparsity=0.6",
    )  # fmt: skip
    result = json.loads((output / "result.json").read_text())
    assert result["float_accuracy"] > 0.25  # chance is 0.1
    assert result["bit_density"] == pytest.approx(0.4, abs=0.01)
    int8, ternary = result["compared"]
    assert ternary["bytes"] == (output / "mltq.tflite").stat().st_size
    assert int8["model"] == "int8"
    # LiteRT's default kernels round stock layers differently by up to a step.
    assert ternary["accuracy"] == pytest.approx(result["litert_accuracy"], abs=0.0201)
    with np.load(output / "features.npz") as features:
        assert features["x"].shape == (100, 49, 10, 1)
        expected = mltq.Interpreter(output / "mltq.tflite").predict(features["x"][:1]).argmax()
    first = recordings / "0_speaker0_0.wav"
    said = run("spoken_digits.py", f"--recording={first}", f"--output={output}")
    assert f"wav:{expected}(" in "".join(said.split())


@pytest.mark.parametrize(
    ("rate", "channels", "message"), [(16000, 1, "16000 Hz"), (8000, 2, "2 channel")]
)
def test_recordings_of_another_format_are_refused(rate, channels, message, recordings):
    path = recordings / "0_speaker0_5.wav"
    write_wav(path, np.zeros(800), rate, channels)
    with pytest.raises(ValueError, match=f"{message}.* takes 8000 Hz.* Convert it: sox"):
        speech.load_recordings(recordings)
    path.write_bytes(b"no sound")
    with pytest.raises(ValueError, match=r"no \.wav file"):
        speech.load_recordings(recordings)
    with pytest.raises(ValueError, match="no recordings"):
        speech.load_recordings(recordings.parent)


def test_recordings_from_arrays_are_those_of_files(recordings, tmp_path):
    files = sorted(recordings.glob("*.wav"))
    pcm = [np.round(speech.read_wav(file) * 32768).astype(np.int16) for file in files]
    np.savez(
        tmp_path / "data.npz",
        pcm=np.concatenate(pcm),
        offsets=np.cumsum([0, *map(len, pcm)]),
        labels=np.array([int(file.name[0]) for file in files], np.uint8),
        index=np.array([int(file.stem.split("_")[2]) for file in files], np.uint8),
    )
    for from_files, from_arrays in zip(
        speech.load_recordings(recordings),
        speech.load_recordings(tmp_path / "data.npz"),
        strict=True,
    ):
        np.testing.assert_array_equal(from_files, from_arrays)


def test_mfcc_is_that_of_its_definition():
    """Against the transforms written out, in float64."""
    waves = np.random.default_rng(3).normal(size=(2, 8000)).astype(np.float32)
    found = speech.mfcc(waves).numpy()
    assert found.shape == (2, 49, speech.COEFFICIENTS, 1)
    starts = speech.STEP * np.arange(49)
    frames = waves[:, starts[:, None] + np.arange(speech.FRAME)].astype(np.float64)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(speech.FRAME) / speech.FRAME)
    spectrum = np.abs(np.fft.rfft(frames * window, speech.FFT))
    mel = [1127 * np.log(1 + hz / 700) for hz in (speech.LOWEST, speech.HIGHEST)]
    edges = np.linspace(*mel, speech.MEL_BINS + 2)
    bins = 1127 * np.log(1 + np.arange(speech.FFT // 2 + 1) * speech.SAMPLE_RATE / speech.FFT / 700)
    rise = (bins[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    fall = (edges[2:] - bins[:, None]) / np.diff(edges)[1:]
    filters = np.maximum(0, np.minimum(rise, fall))
    log_mel = np.log(spectrum @ filters + 1e-3)
    angles = np.pi / speech.MEL_BINS * (np.arange(speech.MEL_BINS) + 0.5)
    cosines = np.cos(angles[:, None] * np.arange(speech.COEFFICIENTS))
    expected = log_mel @ cosines * np.sqrt(2 / speech.MEL_BINS)
    np.testing.assert_allclose(found[..., 0], expected, atol=2e-2)


def test_post_training(small_cifar10, tmp_path):
    output = tmp_path / "results"
    run(
        "post_training.py", f"--model={tmp_path / 'model.keras'}", "--levels=1,4",
        f"--data={tmp_path / 'data.npz'}", f"--output={output}", "--samples=50",
        "--test_images=30",
    )  # fmt: skip
    rows = json.loads((output / "result.json").read_text())["compared"]
    assert [row["model"] for row in rows] == ["int8", "1 levels", "4 levels"]
    # Four levels are nearer to the weights than one.
    assert rows[2]["largest_difference"] < rows[1]["largest_difference"]
    assert (output / "4_levels.tflite").stat().st_size == rows[2]["bytes"]
