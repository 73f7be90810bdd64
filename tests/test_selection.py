"""What `make test` leaves out is there, and every file keeps tests in it."""

import os

import selection

# On other backends there is no tf_keras, whose tests are the thorough ones of some entries.
WITH_TF_KERAS = os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow"


def test_every_entry_names_tests(request):
    collected = request.config.stash[selection.COLLECTED]
    files = {test.file for test in collected}
    for file, entries in selection.QUICK.items():
        assert (selection.TESTS / file).exists(), file
        tests = [test for test in collected if test.file == file]
        for name, ids in entries.items():
            found = [test for test in tests if selection.matches(test.name, [name])]
            assert found or file not in files, f"{file}: there is no {name}"
            for pattern in ids:
                kept = any(selection.matches(test.id, [pattern]) for test in found)
                assert kept or not found, f"{file}: {name} has no parameters {pattern}"
            if found and WITH_TF_KERAS:
                assert any(test.thorough for test in found), f"{file}: {name} runs whole"


def test_every_file_keeps_tests(request):
    collected = request.config.stash[selection.COLLECTED]
    assert {test.file for test in collected} == {
        test.file for test in collected if not test.thorough
    }
