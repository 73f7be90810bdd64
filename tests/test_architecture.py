"""docs/architecture.md and CONTRIBUTING.md are true: their paths exist, and their rules hold."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE, OPS = ROOT / "tfmot_mltq", ROOT / "tflite_ops"
PAGES = {name: (ROOT / name).read_text() for name in ("docs/architecture.md", "CONTRIBUTING.md")}
MODULE = re.compile(r"tfmot_mltq(\.\w+)+")
PATH = re.compile(
    r"(tfmot_mltq|tflite_ops|tests|docs|tools|examples)/\S*|[A-Z]+\.md|pyproject\.toml"
)
ARCHITECTURE = PAGES["docs/architecture.md"]
# These load other modules by name, as the page says.
LOADERS = (PACKAGE / "__init__.py", PACKAGE / "layout" / "frameworks.py")


def table(head):
    """The rows of the table of the architecture with such a head, each as a list of cells."""
    lines = ARCHITECTURE.split(f"| {head} |\n", 1)[1].splitlines()[1:]
    rows = lines[: lines.index("")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def names(cell):
    return set(cell.split(", ")) if cell else set()


PARTS = {
    re.sub(r"/|\.py|`", "", folder): names(imports)
    for folder, _, imports in table("folder | holds | imports")
}
FRAMEWORKS = {
    package: names(folders)
    for packages, folders in table("package | imported by")
    for package in re.findall(r"\w+", packages)
}
C_PARTS = {
    folder.strip("`/"): names(includes)
    for folder, _, includes in table("folder | holds | includes")
}


def part_of(path):
    """The folder of a module, or its own name at the root of the package."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(tree, by_name=True):
    """Full names of the modules that run when a module runs, so not those of ``if TYPE_CHECKING``.
    A string that is the name of a module of the package is one, if ``by_name``.
    """
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
            continue
        pending.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the package"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif by_name and isinstance(node, ast.Constant) and MODULE.fullmatch(str(node.value)):
            yield node.value


def imports_of_parts():
    """By folder of the package: what it imports, folders of the package and other packages."""
    graph = {}
    for path in PACKAGE.rglob("*.py"):
        found = graph.setdefault(part_of(path), set())
        for name in imported(ast.parse(path.read_text()), path not in LOADERS):
            found.add(tuple(name.split(".")[:2]) if name.startswith("tfmot_mltq.") else name)
    return graph


GRAPH = imports_of_parts()


def own(part):
    """Folders of the package that a folder imports."""
    return {name[1] for name in GRAPH[part] if isinstance(name, tuple)} - {part}


def test_the_page_has_all_folders():
    assert set(GRAPH) - {"__init__"} == set(PARTS)


@pytest.mark.parametrize("part", PARTS)
def test_a_folder_imports_what_the_page_says(part):
    assert own(part) == PARTS[part]


@pytest.mark.parametrize("part", PARTS)
def test_a_folder_imports_from_rows_below_its_own(part):
    rows = list(PARTS)
    assert all(rows.index(below) > rows.index(part) for below in PARTS[part])


def test_the_root_loads_nothing_but_by_name():
    assert own("__init__") == {"helpers", "layout"}


@pytest.mark.parametrize("package", FRAMEWORKS)
def test_a_framework_is_imported_where_the_page_says(package):
    found = {
        part
        for part, modules in GRAPH.items()
        if package in {name.split(".")[0] for name in modules if isinstance(name, str)}
    }
    assert found == FRAMEWORKS[package]


@pytest.mark.parametrize("part", C_PARTS)
def test_c_includes_what_the_page_says(part):
    paths = [path for path in (OPS / part).rglob("*") if path.suffix in (".c", ".h", ".cc")]
    included = {
        name for path in paths for name in re.findall(r'#include "\.\./(\w+)/', path.read_text())
    }
    assert paths
    assert included - {part} == C_PARTS[part]


def test_the_page_has_all_folders_of_c():
    assert {path.name for path in OPS.iterdir() if path.is_dir()} == set(C_PARTS)


def test_what_a_module_imports():
    """Also inside a function, and by name; not for types alone."""
    source = """
import tfmot_mltq.packing.format
from tfmot_mltq.helpers import files
if TYPE_CHECKING:
    from tfmot_mltq.pruning import masks
def run():
    import torch
    return import_module("tfmot_mltq.keras.adapter"), "tfmot_mltq is a package"
"""
    found = {
        "tfmot_mltq.packing.format", "tfmot_mltq.helpers.files", "torch", "tfmot_mltq.keras.adapter"
    }  # fmt: skip
    assert set(imported(ast.parse(source))) == found


def paths_in(page, text):
    """Paths in code and in links."""
    for code in re.findall(r"`([^`\n]+)`", text):
        yield from (ROOT / word for word in code.split() if PATH.fullmatch(word))
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        yield (ROOT / page).parent / target


@pytest.mark.parametrize("page", PAGES)
def test_every_path_exists(page):
    """What stands for a name, in angle brackets, has an example."""
    paths = list(paths_in(page, PAGES[page]))
    assert len(paths) > 30
    for path in paths:
        pattern = re.sub(r"<\w+>", "*", str(path.resolve().relative_to(ROOT)))
        assert list(ROOT.glob(pattern)), f"{page}: {path}"


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_one_of_make(page):
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"`make ([\w-]+)`", PAGES[page])) <= set(targets)
