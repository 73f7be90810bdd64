"""The search for the border, on made-up tests."""

import pytest

from tfmot_mltq.search.highest_passing import highest_passing


def search(count, good):
    asked = []

    def passes(index):
        asked.append(index)
        return index in good

    found = highest_passing(count, passes)
    assert len(asked) == len(set(asked))
    assert all(0 <= index < count for index in asked)
    return found, asked


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9, 36])
def test_finds_a_sharp_border_with_few_tests(count):
    for border in range(count + 1):
        found, asked = search(count, set(range(border)))
        assert found == (border - 1 if border else None)
        assert len(asked) <= min(count, border // 4 + 5)


def test_looks_behind_one_failure():
    assert search(36, set(range(20)) | {21, 22})[0] == 22
    assert search(36, set(range(20)) | {21, 23})[0] == 23
    # What lies behind two failures is not looked for.
    assert search(36, set(range(20)) | {22})[0] == 19


def test_first_may_fail_by_chance():
    assert search(8, {1})[0] == 1
