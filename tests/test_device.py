"""The C core test on emulated microcontrollers: the same bytes as on the host, hostile bytes too.

A missing toolchain is a failure, not a skip: `make test` installs them.
"""

import pytest
from device_targets import CORE_SOURCES, DEVICE, TARGETS

SOURCES = [*CORE_SOURCES, DEVICE.parent / "tests" / "core_test.c"]


@pytest.mark.parametrize("name", TARGETS)
def test_core_on_device(name, tmp_path):
    program = tmp_path / f"{name}.elf"
    TARGETS[name].build(SOURCES, program, ["-O2"])
    assert ", 0 failed" in TARGETS[name].run(program)
