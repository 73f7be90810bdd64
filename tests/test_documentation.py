"""The documentation site builds without a warning, its notebooks run, and it says what is true."""

import ast
import importlib
import os
import pathlib
import re
import subprocess
import sys

import pytest
from filelock import FileLock

import tfmot_mltq as mltq

ROOT = pathlib.Path(__file__).parent.parent
DOCS = ROOT / "docs"
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def site(tmp_path_factory, worker_id, thorough):
    """The built site, one for all workers; every notebook is executed from top to bottom, if the
    thorough tests run.
    """
    base = tmp_path_factory.getbasetemp()
    base = base if worker_id == "master" else base.parent
    folder, log = base / "site", base / "site.log"
    with FileLock(f"{folder}.lock"):
        if not log.exists():
            log.write_text(build(folder, execute=thorough))
    assert "build succeeded." in log.read_text(), log.read_text()[-6000:]
    return folder


def build(folder, execute):
    """What Sphinx prints."""
    programs = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-b", "html"]
    if not execute:
        # Only a kernel knows the language of the cells of a page.
        suppressed = "suppress_warnings=myst.xref_missing,myst-nb.lexer"
        command += ["-D", "nb_execution_mode=off", "-D", suppressed]
    return subprocess.run(
        [*command, str(DOCS), str(folder)],
        env={**os.environ, "PATH": programs, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    ).stdout


def test_notebooks_run_from_top_to_bottom(site):
    assert len(NOTEBOOKS) == 3
    for notebook in NOTEBOOKS:
        page = (site / "notebooks" / f"{notebook.stem}.html").read_text()
        plots = re.findall(r'src="\.\./_images/[0-9a-f]+\.png"', page)
        assert len(plots) >= 1, notebook.stem
        assert "agree" in page, f"{notebook.stem} compares nothing"
    assert "self-test: ok" in (site / "notebooks" / "deploy.html").read_text()


@pytest.mark.parametrize(
    ("notebook", "printed"),
    [("train", "two levels, trained"), ("prune", "two levels"), ("deploy", "accuracy")],
)
def test_notebooks_train_long_enough(notebook, printed, site):
    page = (site / "notebooks" / f"{notebook}.html").read_text()
    accuracy = re.search(rf"(?:^|>){printed}: ([\d.]+)%", page, re.MULTILINE)
    assert accuracy is not None
    assert float(accuracy[1]) > 97


def test_every_public_name_is_in_the_reference(site):
    page = (site / "api.html").read_text()
    for name in mltq.__all__:
        assert f'id="tfmot_mltq.{name}"' in page, name


def test_every_page_is_in_the_contents(site):
    index = (site / "index.html").read_text()
    pages = {path.stem for path in DOCS.glob("*.md")} - {"index"}
    assert {page for page in pages if f'href="{page}.html"' in index} == pages


@pytest.mark.parametrize("framework", ["keras", "tf_keras"])
def test_every_layer_of_keras_is_in_the_list(framework):
    layers = importlib.import_module(framework).layers
    names = {
        found.__name__
        for found in vars(layers).values()
        if isinstance(found, type) and issubclass(found, layers.Layer)
    }
    named = set(re.findall(r"\w+", (DOCS / "layers.md").read_text()))
    assert len(names) > 100
    assert names - named == {"Layer"}


def messages():
    """The strings of the package and of the C operators; "..." for what is put in."""
    for path in (ROOT / "tfmot_mltq").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "..."
                    for part in node.values
                )
    status = (ROOT / "tflite_ops" / "core" / "mltq_status.c").read_text()
    for found in re.findall(r'return ((?:"[^"]*"\s*)+);', status):
        yield "".join(re.findall(r'"([^"]*)"', found))


def test_messages_in_troubleshooting_are_those_of_the_code():
    quotes = re.findall(r"^> (.+)$", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    assert len(quotes) > 15
    known = list(messages())
    for quote in quotes:
        parts = [re.escape(part) for part in quote.split("...")]
        pattern = re.compile(".*".join(parts), re.DOTALL)
        assert any(pattern.search(message) for message in known), quote


def test_links_between_pages_and_files_lead_somewhere():
    for page in [ROOT / "README.md", *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
