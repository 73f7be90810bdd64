"""The command mltq, called in this process."""

import json
import re
import subprocess

import keras
import numpy as np
import pytest
import tf_keras
from PIL import Image

import tfmot_mltq as mltq
from tfmot_mltq.command_line.main import COMMANDS, main
from tfmot_mltq.emulation import firmware
from tfmot_mltq.emulation.targets import TARGETS


def small_model(framework):
    layers = framework.layers
    return framework.Sequential([
        framework.Input((8, 8, 1)),
        layers.Conv2D(8, 3, activation="relu", name="stem"),
        layers.Conv2D(8, 3, activation="relu", name="conv"),
        layers.Flatten(name="flat"),
        layers.Dense(12, activation="relu", name="fc"),
        layers.Dense(4, name="head"),
    ])  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Models and samples as users have them on disk."""
    path = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(1)
    small_model(keras).save(path / "new.keras")
    small_model(keras).save(path / "new.h5")
    small_model(tf_keras).save(path / "old.keras")
    small_model(tf_keras).save(path / "saved_model")
    x = rng.integers(0, 256, (40, 8, 8)).astype(np.uint8)
    np.savez(path / "data.npz", x=x, y=rng.integers(0, 4, 40))
    np.save(path / "x.npy", x[..., None])
    (path / "images").mkdir()
    for i in range(5):
        Image.fromarray(x[i]).save(path / "images" / f"{i}.png")
    # Of another size, and in colour.
    Image.new("RGB", (20, 30), (77, 77, 77)).save(path / "images" / "5.jpg")
    assert main(["convert", str(path / "new.keras"), "--levels=3", *data(path)]) == 0
    return path


def data(path):
    return [f"--data={path / 'data.npz'}", "--data_key=x", "--scale=0.00390625"]


def tflite(path, name="new"):
    return str(path / f"{name}.tflite")


@pytest.mark.parametrize("name", ["new.h5", "old.keras", "saved_model"])
def test_every_kind_of_file_is_converted(name, folder, tmp_path, capsys):
    output = tmp_path / "out.tflite"
    files = [str(folder / name), f"--output={output}"]
    assert main(["convert", *files, *data(folder)]) == 0
    assert f"{output.stat().st_size:,} bytes" in capsys.readouterr().out
    x = np.load(folder / "x.npy") / np.float32(256)
    assert mltq.Interpreter(output).predict(x[:3]).shape == (3, 4)


def test_flags_reach_the_model(folder, tmp_path):
    output = tmp_path / "out.tflite"
    flags = [
        "--levels=2", "--activation_levels=1", "--kind=binary", "--include_last_layer", "--refit",
        "--optimize=speed", "--target=cortex-m0", f"--output={output}",
        "--noverify",  # random binary weights on binary activations give one output for all
    ]  # fmt: skip
    assert main(["convert", str(folder / "new.keras"), *flags, *data(folder)]) == 0
    q = mltq.quantize_model(
        keras.models.load_model(folder / "new.keras"), 2, kind="binary", activation_levels=1,
        include_last_layer=True, refit=True,
    )  # fmt: skip
    x = np.load(folder / "x.npy") / np.float32(256)
    assert output.read_bytes() == mltq.convert(
        q, x, optimize="speed", target="cortex-m0", verify=False
    )


def test_pruning_without_training(folder, tmp_path, capsys):
    output = tmp_path / "out.tflite"
    flags = ["--levels=2", "--sparsity=0.9", f"--output={output}", *data(folder)]
    assert main(["convert", str(folder / "new.keras"), *flags]) == 0
    capsys.readouterr()
    assert main(["inspect", str(output), "--json"]) == 0
    operators = json.loads(capsys.readouterr().out)["operators"]
    densities = [row["bit_density"] for row in operators if "bit_density" in row]
    assert densities == pytest.approx([0.1, 0.1], abs=0.01)


def test_a_quantized_model_is_converted_as_it_is(folder, tmp_path, capsys):
    q = mltq.quantize_model(keras.models.load_model(folder / "new.keras"), 3)
    mltq.calibrate(q, np.load(folder / "x.npy") / np.float32(256))
    q.save(tmp_path / "q.keras")
    assert main(["convert", str(tmp_path / "q.keras")]) == 0
    assert (tmp_path / "q.tflite").read_bytes() == mltq.convert(q)
    assert main(["convert", str(tmp_path / "q.keras"), "--levels=2", "--overwrite"]) == 1
    assert "already quantized, so --levels has no effect" in capsys.readouterr().err


def test_inspect(folder, capsys):
    assert main(["inspect", tflite(folder), "--targets=cortex-m0,xtensa"]) == 0
    table = capsys.readouterr().out
    for text in ("MLTQ_CONV_2D", "MLTQ_FULLY_CONNECTED", "cortex-m0", "xtensa", "total"):
        assert text in table
    assert main(["inspect", tflite(folder), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    stem, conv = report["operators"][:2]
    assert stem["op"] == "CONV_2D"
    assert stem["macs"] == conv["macs"] / (8 * 16) * 36
    assert conv["levels"] == 3
    assert conv["kernel"] == "gather-add"
    assert conv["macs"] == 4 * 4 * 8 * 72
    assert all(row["instructions"]["cortex-m4"] > 0 for row in (stem, conv))


def test_benchmark(folder, capsys):
    flags = ["--runs=3", "--targets=cortex-m4,rv32imc"]
    assert main(["benchmark", tflite(folder), *flags, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["bytes"] == (folder / "new.tflite").stat().st_size
    assert all(value > 0 for value in report["host_milliseconds"].values())
    assert set(report["host_milliseconds"]) == {"tflm", "litert"}
    assert list(report["targets"]) == ["cortex-m4", "rv32imc"]
    for figures in report["targets"].values():
        assert figures["arena_bytes"] < report["tflm_arena_bytes"]
        assert figures["instructions"] > 0
    assert main(["benchmark", tflite(folder), *flags]) == 0
    printed = capsys.readouterr().out
    for figures in report["targets"].values():  # counts are the same in every run
        assert f"{figures['instructions']:,}" in printed
        assert f"{figures['flash_bytes']:,}" in printed


def test_benchmark_without_tools(folder, capsys, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda tool: None if "xtensa" in tool else tool)
    found = firmware.Firmware(1, 2, 3, 4, (firmware.OperatorCount("conv", "CONV_2D", 4),))
    monkeypatch.setattr(firmware, "run_firmware", lambda name, model: found)
    assert main(["benchmark", tflite(folder), "--runs=1", "--json"]) == 0
    out, err = capsys.readouterr()
    assert list(json.loads(out)["targets"]) == [name for name in TARGETS if name != "xtensa"]
    assert "Not run on xtensa: apt-get install gcc-xtensa-lx106" in err
    monkeypatch.undo()
    monkeypatch.setattr("shutil.which", lambda tool: None)
    assert main(["benchmark", tflite(folder), "--targets=rv32imc"]) == 1
    assert "riscv64-unknown-elf-gcc is missing: apt-get install" in capsys.readouterr().err
    assert main(["benchmark", tflite(folder), "--targets=z80"]) == 1
    assert "Unknown targets ['z80']" in capsys.readouterr().err


def test_run(folder, tmp_path, capsys):
    output = tmp_path / "answers.npz"
    flags = ["--labels=y", f"--output={output}", *data(folder)]
    assert main(["run", tflite(folder), *flags]) == 0
    outputs = np.load(output)["outputs"]
    x = np.load(folder / "x.npy") / np.float32(256)
    np.testing.assert_array_equal(outputs, mltq.Interpreter(tflite(folder)).predict(x))
    labels = np.load(folder / "data.npz")["y"]
    printed = capsys.readouterr().out
    assert f"accuracy: {np.mean(outputs.argmax(1) == labels):.2%} of 40 samples" in printed
    assert "arena: " in printed
    assert main(["run", tflite(folder), *flags]) == 1
    assert "already exists; pass --overwrite" in capsys.readouterr().err


def test_run_on_images(folder, capsys):
    flags = [f"--data={folder / 'images'}", "--scale=0.00390625", "--runtime=litert"]
    assert main(["run", tflite(folder), *flags, "--reference_kernels"]) == 0
    x = np.load(folder / "x.npy")[:6] / np.float32(256)
    x[5] = 77 / 256
    classes = mltq.Interpreter(tflite(folder)).predict(x).argmax(1)
    assert f"classes: {' '.join(map(str, classes))}" in capsys.readouterr().out


def test_compare(folder, tmp_path, capsys):
    other = tmp_path / "other.tflite"
    flags = ["--levels=1", f"--output={other}", *data(folder)]
    assert main(["convert", str(folder / "new.keras"), *flags]) == 0
    capsys.readouterr()
    files = [tflite(folder), tflite(folder), str(other)]
    assert main(["compare", *files, "--labels=y", *data(folder)]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "100.00%" in line]
    assert len(rows) >= 2
    assert rows[1].split()[-3] == "0"  # before two targets


def test_export(folder, tmp_path, capsys):
    output = tmp_path / "project"
    flags = [f"--output={output}", "--name=digits", *data(folder)]
    assert main(["export", tflite(folder), *flags]) == 0
    assert "arena" in capsys.readouterr().out
    program = tmp_path / "program"
    sources = [str(path) for path in output.rglob("*.c")]
    command = [
        "cc",
        "-std=c99",
        f"-I{output}",
        f"-I{output / 'mltq'}",
        *sources,
        "-o",
        str(program),
    ]
    subprocess.run(command, check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=True)
    assert done.stdout == "self-test: ok\n"
    assert main(["export", tflite(folder), *flags]) == 1
    assert "already exists" in capsys.readouterr().err


def fake_compiler(tmp_path, monkeypatch, script):
    path = tmp_path / "compiler"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("CC", str(path))


def test_export_tries_what_it_wrote(folder, tmp_path, capsys):
    for kind in ("c", "arduino", "esp-idf"):
        output = tmp_path / kind
        assert main(["export", tflite(folder), f"--output={output}", f"--format={kind}"]) == 0
        assert "self-test: ok on this machine (cc)" in capsys.readouterr().out
        assert not list(output.rglob("self_test")) or kind == "arduino"  # no program is left


@pytest.mark.parametrize("flag", ["--no-self_test", "--noself_test", "--self_test=false"])
def test_export_untried(flag, folder, tmp_path, monkeypatch, capsys):
    fake_compiler(tmp_path, monkeypatch, "exit 1")
    output = tmp_path / "project"
    assert main(["export", tflite(folder), f"--output={output}", flag]) == 0
    assert "self-test: skipped" in capsys.readouterr().out
    assert (output / "model.c").exists()


def test_export_for_the_interpreter_needs_no_compiler(folder, tmp_path, monkeypatch, capsys):
    fake_compiler(tmp_path, monkeypatch, "exit 1")
    output = tmp_path / "project"
    assert main(["export", tflite(folder), f"--output={output}", "--runtime=tflm"]) == 0
    assert "self-test: the model ran in TensorFlow Lite Micro" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'model.c:7: no such thing' >&2; exit 1", "does not compile with .*\n*model.c:7"),
        # A compiler whose programs say something else.
        (
            'while [ "$1" != -o ]; do shift; done; printf "#!/bin/sh\\necho wrong" > "$2"; '
            'chmod +x "$2"',
            "fails its self-test on this machine.*wrong",
        ),
    ],
)
def test_export_of_code_that_fails(script, message, folder, tmp_path, monkeypatch, capsys):
    fake_compiler(tmp_path, monkeypatch, script)
    (tmp_path / "work").mkdir()
    output = tmp_path / "work" / "project"
    assert main(["export", tflite(folder), f"--output={output}"]) == 1
    assert re.search(message, capsys.readouterr().err)
    assert not list(output.parent.iterdir())


def test_export_without_a_compiler(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CC", "no-such-compiler")
    output = tmp_path / "project"
    assert main(["export", tflite(folder), f"--output={output}"]) == 1
    said = capsys.readouterr().err
    assert "the C compiler 'no-such-compiler', which CC names, is missing" in said
    assert "apt-get install build-essential" in said
    assert "--no-self_test" in said
    assert not output.exists()


@pytest.mark.parametrize("kind", ["arduino", "esp-idf"])
@pytest.mark.parametrize("runtime", ["none", "tflm"])
def test_export_for_boards(kind, runtime, folder, tmp_path):
    output = tmp_path / "project"
    flags = [f"--output={output}", f"--format={kind}", f"--runtime={runtime}"]
    assert main(["export", tflite(folder), *flags]) == 0
    expected = "library.properties" if kind == "arduino" else "CMakeLists.txt"
    assert (output / expected).exists()
    assert list(output.rglob("model_golden.h"))


@pytest.mark.parametrize(("limit", "what"), [("--flash=100", "constants"), ("--ram=100", "arena")])
def test_models_that_are_too_big_are_not_exported(limit, what, folder, tmp_path, capsys):
    output = tmp_path / "project"
    assert main(["export", tflite(folder), f"--output={output}", limit]) == 1
    assert f"The {what} take" in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, ""),
        (["nothing"], 2, "unknown command 'nothing'"),
        (["inspect"], 2, "inspect takes one .tflite file, got 0"),
        (["compare", "one", "--data=x"], 2, "two or more"),
        (["run", "model.tflite"], 2, "data"),
        (["convert", "model.keras", "--bits=3"], 2, "Unknown command line flag 'bits'"),
        (["convert", "model.keras", "--kind=septenary"], 2, "ternary"),
        (["inspect", "missing.tflite"], 1, "missing.tflite"),
        (["convert", "missing.keras"], 1, "File not found: missing.keras"),
        (["inspect", "{folder}/data.npz"], 1, "not a .tflite file"),
        (["inspect", "{folder}/new.tflite", "--targets=z80"], 1, "target must be one of"),
        (["convert", "{folder}/x.npy"], 1, "neither a .keras nor an .h5"),
        (["convert", "{folder}/images"], 1, "not a SavedModel"),
        (["convert", "{folder}/new.keras"], 1, "already exists; pass --overwrite"),
        (["convert", "{folder}/old.keras", "--output=/nowhere/x.tflite"], 1, "Folder not found:"),
        (["convert", "{folder}/old.keras"], 1, "no int8 activation ranges yet. Pass --data"),
        (["run", "{folder}/new.tflite", "--data={folder}/data.npz"], 1, "choose one of"),
        (["run", "{folder}/new.tflite", "--data={folder}/data.npz", "--data_key=z"], 1, "no array"),
        (["run", "{folder}/new.tflite", "--data={folder}/data.npz", "--data_key=y"], 1, "shape"),
        (["run", "{folder}/new.tflite", "--data={folder}/saved_model"], 1, "has no images"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(arguments, code, message, folder, capsys):
    before = sorted(folder.rglob("*"))
    assert main([argument.format(folder=folder) for argument in arguments]) == code
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples_and_flags(command, capsys):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"  mltq {command} " in text
    assert "Flags:" in text
    assert "--" in text.split("Flags:")[1]
    assert main(["--help"]) == 0
    assert command in capsys.readouterr().out
