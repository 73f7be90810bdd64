"""Exported C code against TensorFlow Lite Micro: same bytes, on the host and on emulated cores."""

import pathlib
import re
import subprocess

import numpy as np
import pytest
import tf_keras as keras
from exported_library import run_self_test
from hypothesis import given
from hypothesis import strategies as st

import tfmot_mltq as mltq
from tfmot_mltq.emulation.targets import TARGETS
from tfmot_mltq.export.c_project import plan_c_project
from tfmot_mltq.export.golden import golden_outputs, random_inputs
from tfmot_mltq.export.memory_plan import ALIGNMENT, Buffer, plan_memory
from tfmot_mltq.export.project_formats import PROJECT_FORMATS
from tfmot_mltq.export.tflm_project import plan_tflm_project
from tfmot_mltq.helpers.c_sources import c_folder
from tfmot_mltq.runtime.tflm_methods import registration

STUB = pathlib.Path(__file__).parent / "tflm_stub"
ARDUINO_STUB = STUB.with_name("arduino_stub")


def network():
    """Every operator that generated code has."""
    layers = keras.layers
    inputs = keras.Input((12, 10, 3))
    x = layers.Conv2D(8, 3, strides=(2, 1), padding="same", activation="relu6", name="stem")(inputs)
    y = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="dw")(x)
    y = layers.Conv2D(8, 3, padding="same", name="conv")(y)
    x = layers.Activation("relu")(layers.Add()([x, y]))
    x = layers.MaxPooling2D(2, padding="same")(x)
    x = layers.Conv2D(12, 3, dilation_rate=1, activation="relu", name="wide")(x)
    x = layers.AveragePooling2D((1, 2), strides=1, padding="same")(x)
    x = layers.Flatten()(x)
    x = layers.Dense(10, activation="relu", name="fc")(x)
    return keras.Model(inputs, layers.Dense(5, activation="softmax", name="head")(x))


def converted(levels, int8_layers, activation_levels=0):
    """A model of which some layers are stock int8."""
    keras.utils.set_random_seed(levels)

    def annotate(layer):
        if not layer.weights or layer.name in int8_layers:
            return layer
        return mltq.quantize_annotate_layer(layer, levels, activation_levels=activation_levels)

    q = mltq.quantize_apply(keras.models.clone_model(network(), clone_function=annotate))
    samples = np.random.default_rng(levels).random((64, 12, 10, 3), dtype=np.float32)
    return mltq.convert(q, samples)


@pytest.fixture(
    scope="module",
    params=[(2, ("stem", "head"), 0), (3, ("dw", "wide", "fc"), 2), (1, (), 1)],
    ids=["usual", "mixed", "levels everywhere"],
)
def model(request):
    return converted(*request.param)


def golden(tflite, rng):
    """Random inputs, and what TensorFlow Lite Micro makes of them."""
    inputs = random_inputs(tflite, int(rng.integers(1000)))
    return golden_outputs(mltq.Interpreter(tflite), inputs)


def sources(folder):
    return sorted(folder.rglob("*.c"))


def check_on_host(tflite, rng, folder):
    PROJECT_FORMATS["c"](plan_c_project(tflite), "model").write(folder, golden(tflite, rng))
    run_self_test(folder)


def test_generated_code_gives_the_bytes_of_the_interpreter(model, rng, tmp_path):
    for i in range(2):
        check_on_host(model, rng, tmp_path / f"run{i}")


@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m4", "cortex-m55", "rv32imc"])
def test_generated_code_runs_on_the_core(target, model, rng, tmp_path):
    folder = tmp_path / "project"
    PROJECT_FORMATS["c"](plan_c_project(model), "model").write(folder, golden(model, rng))
    program = tmp_path / "program.elf"
    includes = [f"-I{folder}"]
    TARGETS[target].build(sources(folder), program, ["-O2", *includes])
    assert TARGETS[target].run(program) == "self-test: ok\n"


def test_code_that_no_layer_needs_is_left_out(rng, tmp_path):
    tflite = converted(2, ("stem", "dw", "conv", "wide", "head"))
    plan_c_project(tflite).write(tmp_path / "project", golden(tflite, rng))

    core = {path.name for path in (tmp_path / "project/mltq/core").glob("*.c")}
    assert "mltq_fully_connected_s8.c" in core
    assert not core & {
        "mltq_conv_2d_s8.c", "mltq_conv_2d_s8_helium.c", "mltq_depthwise_conv_2d_s8.c",
        "mltq_depthwise_conv_2d_s8_helium.c",
        "mltq_bit_planes_s8.c",
    }  # fmt: skip
    table = (tmp_path / "project/mltq/core/mltq_kernels.c").read_text()
    assert "&mltq_fully_connected_s8," in table
    assert "mltq_conv_2d_s8" not in table
    stock = {path.name for path in (tmp_path / "project/mltq/stock").glob("*.c")}
    assert "mltq_stock_pool_2d_s8.c" in stock
    assert "mltq_stock_mean_s8.c" not in stock


@pytest.mark.parametrize("compiler", ["c++", "arm-none-eabi-g++", "riscv64-unknown-elf-g++"])
def test_code_for_the_interpreter_compiles(compiler, model, rng, tmp_path):
    """Against our own declarations of TensorFlow Lite Micro; C as C, C++ as C++17."""
    folder = tmp_path / "project"
    project = PROJECT_FORMATS["c"](plan_tflm_project(model, name="net"), "net")
    project.write(folder, golden(model, rng))
    includes = [f"-I{folder}", f"-I{STUB}", "-Wall", "-Wextra", "-Werror"]
    cross = compiler.removesuffix("++").removesuffix("g")
    core = {
        "arm-none-eabi-": ["-mcpu=cortex-m4", "-mthumb"],
        "riscv64-unknown-elf-": ["-march=rv32imc", "-mabi=ilp32", "--specs=picolibc.specs"],
    }.get(cross, [])
    for path in folder.rglob("*.c*"):
        is_c = path.suffix == ".c"
        command = [cross + "gcc" if is_c and core else "cc" if is_c else compiler, *core, *includes]
        command += ["-std=c99" if is_c else "-std=c++17", "-c", str(path)]
        subprocess.run([*command, "-o", str(tmp_path / "object.o")], check=True)
    text = (folder / "net.cpp").read_text()
    assert f"{len(model)};" in (folder / "net.h").read_text()
    assert 'AddCustom("MLTQ_CONV_2D", mltq_tflm_conv_2d())' in text
    assert project.arena_bytes == mltq.Interpreter(model).arena_bytes


def test_an_interpreter_that_is_too_old_is_named(tmp_path):
    header = tmp_path / "tensorflow" / "lite" / "micro" / "micro_interpreter.h"
    header.parent.mkdir(parents=True)
    header.touch()
    source = c_folder("tflm") / "mltq_tflm.c"
    command = ["cc", f"-I{tmp_path}", f"-I{c_folder('core')}", "-fsyntax-only", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "older than 2023" in done.stderr


@pytest.mark.parametrize("plan", [plan_c_project, plan_tflm_project])
def test_arduino_library(plan, model, rng, tmp_path):
    """Structure and fields as arduino-lint wants them; sources compile without include folders."""
    folder = tmp_path / "net_mltq"
    PROJECT_FORMATS["arduino"](plan(model, name="net"), "net").write(folder, golden(model, rng))
    lines = (folder / "library.properties").read_text().strip().splitlines()
    fields = dict(line.split("=", 1) for line in lines)
    wanted = {
        "name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url",
        "architectures", "includes",
    }  # fmt: skip
    assert wanted <= set(fields)
    assert fields["category"] == "Data Processing"
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["version"])
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", fields["name"])
    assert not fields["name"].lower().startswith("arduino")
    assert fields["sentence"].endswith(".")
    assert ("depends" in fields) == (plan is plan_tflm_project)
    assert (folder / "src" / fields["includes"]).exists()
    sketch = folder / "examples" / "self_test" / "self_test.ino"
    for header in re.findall(r"#include <(.+)>", sketch.read_text()):
        assert header == "TensorFlowLite.h" or (folder / "src" / header).exists()
    assert not list(folder.rglob("*main.c"))
    # As for an Arduino Nano 33 BLE.
    flags = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=softfp", "-mfpu=fpv4-sp-d16", f"-I{STUB}"]
    flags += [f"-I{folder / 'src'}", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    for path in (folder / "src").rglob("*.c*"):
        compiler = ["gcc", "-std=gnu11"] if path.suffix == ".c" else ["g++", "-std=gnu++17"]
        command = [f"arm-none-eabi-{compiler[0]}", compiler[1], *flags]
        subprocess.run([*command, str(path)], check=True)
    command = ["arm-none-eabi-g++", "-std=gnu++17", *flags, f"-I{ARDUINO_STUB}"]
    subprocess.run([*command, "-include", "Arduino.h", "-x", "c++", str(sketch)], check=True)


@pytest.mark.parametrize("plan", [plan_c_project, plan_tflm_project])
def test_esp_idf_project(plan, model, rng, tmp_path):
    folder = tmp_path / "net"
    PROJECT_FORMATS["esp-idf"](plan(model, name="net"), "net").write(folder, golden(model, rng))
    component = folder / "components" / "net"
    manifest = (component / "idf_component.yml").read_text()
    with_tflm = plan is plan_tflm_project
    assert ("espressif/esp-tflite-micro" in manifest) == with_tflm
    assert ("esp-tflite-micro" in (component / "CMakeLists.txt").read_text()) == with_tflm
    assert "REQUIRES net" in (folder / "main" / "CMakeLists.txt").read_text()
    assert "project(net_self_test)" in (folder / "CMakeLists.txt").read_text()
    assert "NET_MLTQ_OPTIMIZE_SPEED" in (component / "Kconfig").read_text()
    assert (folder / "main" / "main.c").exists()
    compilers = {
        "riscv64-unknown-elf-": ["-march=rv32imc", "-mabi=ilp32", "--specs=picolibc.specs"],
        "xtensa-lx106-elf-": [
            "-mlongcalls", "--specs=/usr/lib/xtensa-lx106-elf/picolibc.specs"
        ],
    }  # fmt: skip
    for prefix, flags in compilers.items():
        for path in component.rglob("*.c"):
            command = [prefix + "gcc", *flags, f"-I{component}", f"-I{STUB}", "-std=gnu17"]
            subprocess.run([*command, "-Werror", "-fsyntax-only", str(path)], check=True)


def test_operators_that_the_interpreter_lacks():
    assert registration("MAX_POOL_2D") == "AddMaxPool2D()"
    with pytest.raises(mltq.ConversionError, match="no operator UNIQUE"):
        registration("UNIQUE")


def test_means_of_images(rng, tmp_path):
    layers = keras.layers
    for size in ((7, 5), (8, 8), (3, 1)):
        inputs = keras.Input((*size, 3))
        x = layers.Conv2D(6, 1, name="a")(inputs)
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 1, activation="relu", name="b")(x))
        q = mltq.quantize_model(keras.Model(inputs, layers.Dense(3, name="c")(x)))
        tflite = mltq.convert(q, rng.random((16, *size, 3), dtype=np.float32))
        check_on_host(tflite, rng, tmp_path / "x".join(map(str, size)))


@given(
    st.lists(
        st.tuples(st.integers(1, 3000), st.integers(0, 9), st.integers(0, 9)), min_size=1,
        max_size=14,
    )
)  # fmt: skip
def test_memory_that_is_needed_at_the_same_time_does_not_overlap(spans):
    buffers = [Buffer(size, min(a, b), max(a, b)) for size, a, b in spans]
    offsets, arena = plan_memory(buffers)
    needed = max(sum(b.size for b in buffers if b.first <= step <= b.last) for step in range(10))
    assert needed <= arena <= sum(b.size + ALIGNMENT for b in buffers)
    for i, (first, at) in enumerate(zip(buffers, offsets, strict=True)):
        assert at % ALIGNMENT == 0
        assert at + first.size <= arena
        for second, other in zip(buffers[:i], offsets[:i], strict=True):
            if first.first <= second.last and second.first <= first.last:
                assert at + first.size <= other or other + second.size <= at


def test_the_arena_is_not_larger_than_the_interpreters(model):
    assert plan_c_project(model).arena_bytes <= mltq.Interpreter(model).arena_bytes


def test_names_and_folders_that_cannot_be_are_refused(model, rng, tmp_path):
    with pytest.raises(ValueError, match="C identifier"):
        plan_c_project(model, name="my model")
    (tmp_path / "there").mkdir()
    with pytest.raises(FileExistsError, match="choose another folder"):
        plan_c_project(model).write(tmp_path / "there", golden(model, rng))
    assert not list((tmp_path / "there").iterdir())


def test_several_inputs_and_outputs(rng, tmp_path):
    """With names of their own, in the order of the model."""
    inputs = [keras.Input((4,), name="left"), keras.Input((4,), name="right")]
    x = keras.layers.Dense(4, name="a")(keras.layers.Add()(inputs))
    outputs = [keras.layers.Dense(2, name="b")(x), keras.layers.Dense(3, name="c")(x)]
    q = mltq.quantize_model(keras.Model(inputs, outputs))
    samples = [[rng.random((1, 4), dtype=np.float32) for _ in inputs] for _ in range(4)]
    tflite = mltq.convert(q, lambda: iter(samples))
    check_on_host(tflite, rng, tmp_path / "project")
    header = (tmp_path / "project" / "model.h").read_text()
    assert "int8_t* model_input_1(MltqModel* model);" in header
    assert "const int8_t* model_output_0(const MltqModel* model);" in header
    assert "#define MODEL_OUTPUT_1_SIZE 3" in header


def test_a_layer_with_levels_after_a_pool(rng, tmp_path):
    """Its input has another rank than its output."""
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.MaxPooling2D()(inputs)
    x = keras.layers.Dense(4, name="a")(keras.layers.Flatten()(x))
    y = keras.layers.Dense(5, name="b")(inputs)
    y = keras.layers.GlobalAveragePooling2D()(y)
    q = mltq.quantize_model(
        keras.Model(inputs, [x, y]), include_first_layer=True, include_last_layer=True
    )
    tflite = mltq.convert(q, rng.random((16, 6, 6, 3), dtype=np.float32))
    check_on_host(tflite, rng, tmp_path / "project")
