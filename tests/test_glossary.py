"""The glossary names what exists, and the C core keeps to its words."""

import ast
import pathlib
import re

import pytest

import tfmot_mltq as mltq

ROOT = pathlib.Path(__file__).parent.parent
GLOSSARY = (ROOT / "docs/glossary.md").read_text()
C_FILES = sorted((ROOT / "tflite_ops/core").glob("*.[ch]"))


def test_names_of_the_api_exist():
    names = set(re.findall(r"mltq\.(\w+)", GLOSSARY))
    assert len(names) > 8
    assert names <= set(mltq.__all__)


def test_files_exist():
    paths = re.findall(r"`((?:tfmot_mltq|tflite_ops)/[^`*]*)`", GLOSSARY)
    assert len(paths) > 8
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_terms_stand_once():
    terms = re.findall(r"^- \*\*(.+?)\*\*: ", GLOSSARY, re.MULTILINE)
    assert len(terms) > 30
    assert len(set(terms)) == len(terms)


@pytest.mark.parametrize("path", C_FILES, ids=lambda path: path.name)
def test_words_of_the_c_core_are_machine_words(path):
    """In comments, and in names that other files see."""
    text = path.read_text()
    comments = " ".join(re.findall(r"/\*.*?\*/", text, re.DOTALL))
    prose = re.sub(r"`[^`]*`", "", re.sub(r"\s*\n\s*\*\s*", " ", comments))
    assert re.findall(r"(?<!achine )\b[Ww]ords?\b", prose) == []
    assert [
        name
        for name in re.findall(r"\bmltq_\w*word\w*|\bMLTQ_\w*WORD\w*", text)
        if "machine_word" not in name.lower()
    ] == []


def test_export_means_projects():
    """Outside of its own folder, names with "export" are those of the command and of the folder."""
    for path in (ROOT / "tfmot_mltq").rglob("*.py"):
        if path.parent.name in ("export", "operators"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                assert "export" not in node.name.lower(), f"{path.name}: {node.name}"
