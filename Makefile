# make demo   trains, converts and runs a digit classifier; figures in build/demo/
# make test   all checks and tests that take minutes
#
# Both set up everything in .venv; what they write goes to build/.

PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3.10 python3) python3)
VENV := .venv
RUN := $(VENV)/bin/python
JOBS ?= 2
C_FILES := $(wildcard tflite_ops/*/*.[ch] tflite_ops/*/*/*.[ch])
C_SOURCES := $(filter-out tflite_ops/tests/%,$(C_FILES))

# Cross compilers and emulators of the device tests.
DEVICE_PACKAGES := gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm \
  gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc

.PHONY: help demo test lint format golden device-tools bazel-test clean

help:
	@sed -n 's/^# \(make\)/\1/p' Makefile

# The package is installed in place (editable), so only a change of what pip builds needs it again.
$(VENV)/installed: setup.py pyproject.toml $(C_SOURCES)
	tools/check_prerequisites.sh $(PYTHON)
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@echo "Installing TensorFlow and the other dependencies into $(VENV) (a few minutes the first time)"
	MLTQ_WERROR=1 $(RUN) -m pip install --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(VENV)/installed
	$(RUN) examples/digits.py --output=build/demo

test: $(VENV)/installed device-tools lint
	$(RUN) -m pytest -n $(JOBS)

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/clang-format --dry-run --Werror $(filter-out %golden_layers.h,$(C_FILES))

format: $(VENV)/installed
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	$(VENV)/bin/clang-format -i $(filter-out %golden_layers.h,$(C_FILES))

device-tools:
	tools/install_system_packages.sh $(DEVICE_PACKAGES)

golden: $(VENV)/installed
	$(RUN) tflite_ops/tests/generate_golden.py

bazel-test:
	.ci/bazel_test

clean:
	rm -rf build $(VENV) *.egg-info tfmot_mltq/runtime/*.so
