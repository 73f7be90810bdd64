"""Runs tests/backends on each backend of Keras."""

import os
import pathlib
import subprocess
import sys

from filelock import FileLock


def one_thread_environment(**variables):
    """For processes beside busy workers: PyTorch's threads spin while they wait for others."""
    return {**os.environ, "OMP_NUM_THREADS": "1", **variables}


BACKENDS = ("tensorflow", "jax", "torch")


class BackendRuns:
    """Runs tests/backends once per Keras backend, in a process of its own, for all workers.

    Without its thorough tests, if those of the others do not run either.
    """

    def __init__(self, folder, thorough):
        self._folder, self._thorough = folder, thorough

    def models(self, backend):
        """Folder of the models that the layer contract trained on a backend."""
        return self._run(backend)

    def report(self, backend):
        """Return code and output of the run."""
        folder = self._run(backend)
        return int((folder / "returncode").read_text()), (folder / "output").read_text()

    def _run(self, backend):
        folder = self._folder / backend
        with FileLock(f"{folder}.lock"):
            if not (folder / "returncode").exists():
                folder.mkdir()
                tests = pathlib.Path(__file__).parent
                command = [
                    sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p",
                    "no:xdist", str(tests / "backends"), str(tests / "test_selection.py"),
                    f"--models={folder}", f"--basetemp={folder / 'tmp'}",
                    *(["-m", "not slow"] if self._thorough else []),
                ]  # fmt: skip
                environment = one_thread_environment(KERAS_BACKEND=backend)
                done = subprocess.run(
                    command, env=environment, capture_output=True, text=True, check=False
                )
                (folder / "output").write_text(done.stdout + done.stderr)
                (folder / "returncode").write_text(str(done.returncode))
        return folder
