"""The C core under libFuzzer for a bounded time; `make fuzz` goes on for longer."""

import re

import fuzz_core
import pytest


def test_no_bytes_break_the_core(tmp_path, thorough):
    last_line = fuzz_core.fuzz(20 if thorough else 4, tmp_path)
    runs = re.fullmatch(r"Done (\d+) runs in \d+ second\(s\)", last_line)
    assert runs is not None
    assert int(runs[1]) > 1000


def test_a_missing_compiler_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(fuzz_core.FuzzError, match="apt-get install clang"):
        fuzz_core.fuzz(1, tmp_path)
