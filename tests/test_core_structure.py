"""The C core has one door and no circle."""

import graphlib
import pathlib
import re
import subprocess

import pytest

OPS = pathlib.Path(__file__).parent.parent / "tflite_ops"
CORE = OPS / "core"
TEMPLATES = OPS.parent / "tfmot_mltq" / "export" / "templates"
INCLUDE = re.compile(r'#include "(?:.*core/)?(mltq\w*\.h)"')
CORES = {
    "portable": ("", []),
    "helium": ("arm-none-eabi-", ["-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"]),
}
KERNELS = {
    path.stem
    for path in CORE.glob("*.c")
    if re.search(r"^const MltqKernel mltq_\w+ = ", path.read_text(), re.MULTILINE)
}


def included():
    """By file without its ending: what it includes."""
    graph = {}
    for path in CORE.glob("*.[ch]"):
        found = {pathlib.Path(name).stem for name in INCLUDE.findall(path.read_text())}
        graph.setdefault(path.stem, set()).update(found - {path.stem})
    return graph


def called(tools, flags, folder):
    """By file: those that define the functions and constants that it uses."""
    defines, uses = {}, {}
    for source in sorted(CORE.glob("*.c")):
        made = folder / f"{source.stem}.o"
        command = [f"{tools}gcc", "-std=gnu11", "-O1", *flags, "-c", str(source), "-o", str(made)]
        subprocess.run(command, check=True)
        listed = subprocess.run(
            [f"{tools}nm", str(made)], capture_output=True, text=True, check=True
        ).stdout
        symbols = [line.split()[-2:] for line in listed.splitlines()]
        uses[source.stem] = {name for kind, name in symbols if kind == "U"}
        defines |= {name: source.stem for kind, name in symbols if kind in "TDRB"}
    return {
        stem: {defines[name] for name in names & set(defines)} - {stem}
        for stem, names in uses.items()
    }


def check_no_circle(graph):
    """Raises CycleError, which names the files of a circle."""
    graphlib.TopologicalSorter(graph).prepare()


def test_files_do_not_include_each_other():
    check_no_circle(included())


@pytest.mark.parametrize("core", CORES)
def test_nothing_calls_back_up(core, tmp_path):
    """Neither do files call each other, nor one that includes them."""
    graph = called(*CORES[core], tmp_path)
    check_no_circle(graph)
    for stem, stems in included().items():
        graph[stem] = graph.get(stem, set()) | stems
    check_no_circle(graph)
    assert {"mltq_kernels", "mltq_activation"} <= graph["mltq_eval"]
    listed = {stem.removesuffix("_helium") for stem in graph["mltq_kernels"]}
    assert {stem.removesuffix("_helium") for stem in KERNELS} <= listed
    above = {"mltq", "mltq_parse", "mltq_shape", "mltq_kernels", "mltq_eval"}
    for kernel in KERNELS:
        assert not graph[kernel] & (above | KERNELS), kernel


def test_a_circle_is_found():
    with pytest.raises(graphlib.CycleError):
        check_no_circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})


def test_users_of_the_core_go_through_the_door():
    """The host library and the tests, which also run single kernels, see more."""
    users = [path for part in ("tflm", "litert", "device") for path in (OPS / part).glob("*.[ch]")]
    users += TEMPLATES.rglob("*.j2")
    seen = {}
    for path in users:
        for name in re.findall(r'#include "(?:\.\.|mltq)/core/(\S+)"', path.read_text()):
            seen.setdefault(name, []).append(path.name)
    assert set(seen) == {"mltq.h"}
    assert {"mltq_tflm.c", "mltq_delegate.c", "model.h.j2"} <= set(seen["mltq.h"])


@pytest.mark.parametrize("compiler", [["cc", "-std=c99", "-xc"], ["c++", "-std=c++11", "-xc++"]])
def test_the_door_is_plain(compiler):
    flags = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", f"-I{CORE}", "-"]
    program = '#include "mltq.h"\nint main(void) { return mltq_status_message(MLTQ_OK) == 0; }\n'
    subprocess.run([*compiler, *flags], input=program, text=True, check=True)
