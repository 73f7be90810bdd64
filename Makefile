# make demo   trains, converts and runs a digit classifier; figures in build/demo/
#             (KERAS=tf_keras for tf_keras instead of Keras 3; KERAS_BACKEND=jax or torch)
# make test   all checks, and tests of every part, in some minutes
# make test-all   all checks, and the tests that make test leaves out too (half an hour)
# make test-slow   tests that take longer
# make fuzz   ten minutes of libFuzzer on the C core (FUZZ_SECONDS=600)
# make docs   the documentation site, its notebooks executed, in build/docs/
# make tflm-firmware TFLM_DIR=... MODEL=...   a model in a whole TensorFlow Lite Micro, emulated
# make pareto DATA=... TEACHER=...   days of training, which goes on where it stopped
# make bench  instructions of the operators on emulated microcontrollers, beside int8 kernels
#
# Both set up everything in .venv; what they write goes to build/.

PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3.10 python3) python3)
VENV := .venv
RUN := $(VENV)/bin/python
JOBS ?= 2
KERAS ?= keras
C_FILES := $(wildcard tflite_ops/*/*.[ch] tflite_ops/*/*/*.[ch] tflite_ops/*/*.cc)
C_SOURCES := $(filter-out tflite_ops/tests/% tflite_ops/device/%,$(C_FILES))

FUZZ_SECONDS ?= 600
TFLM_DIR ?= pass-TFLM_DIR
MODEL ?= build/demo/digits.tflite
DATA ?= pass-DATA
TEACHER ?= pass-TEACHER
STATE ?= build/pareto

# Cross compilers and emulators of the device tests, and the fuzzer.
DEVICE_PACKAGES := gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm \
  gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc \
  gcc-xtensa-lx106 picolibc-xtensa-lx106-elf clang libclang-rt-dev

.PHONY: help demo test test-all test-slow docs bench pareto tflm-firmware fuzz lint format golden device-tools bazel-test clean

help:
	@sed -n 's/^# \(make\)/\1/p' Makefile

# The package is installed in place (editable), so only a change of what pip builds needs it again.
# The demo needs less than the tests, which bring every backend of Keras.
INSTALL = MLTQ_WERROR=1 $(RUN) -m pip install --disable-pip-version-check --editable

$(VENV)/bin/python:
	tools/check_prerequisites.sh $(PYTHON)
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-demo: setup.py pyproject.toml $(C_SOURCES) | $(VENV)/bin/python
	@echo "Installing TensorFlow and the other dependencies into $(VENV) (a few minutes the first time)"
	$(INSTALL) '.[demo]'
	touch $@

$(VENV)/installed: setup.py pyproject.toml $(C_SOURCES) | $(VENV)/bin/python
	@echo "Installing TensorFlow, JAX, PyTorch and the test tools into $(VENV) (some minutes the first time)"
	$(INSTALL) '.[dev]'
	touch $@ $(VENV)/installed-demo

demo: $(VENV)/installed-demo
	$(RUN) examples/digits.py --keras=$(KERAS) --output=build/demo

test: $(VENV)/installed device-tools lint
	$(RUN) -m pytest -n $(JOBS) --dist worksteal

test-all: $(VENV)/installed device-tools lint
	$(RUN) -m pytest -n $(JOBS) --dist worksteal -m 'not slow'

test-slow: $(VENV)/installed
	$(RUN) -m pytest -n $(JOBS) -m slow

# Notebooks call mltq, and compilers.
docs: $(VENV)/installed device-tools
	PATH="$(abspath $(VENV))/bin:$$PATH" $(RUN) -m sphinx -W --keep-going -b html docs build/docs

bench: $(VENV)/installed device-tools
	$(RUN) tools/device_benchmark.py --output=build/benchmarks

pareto: $(VENV)/installed
	nice -n 19 $(RUN) tools/pareto/run.py --state=$(STATE) --data=$(DATA) --teacher=$(TEACHER)

tflm-firmware: $(VENV)/installed device-tools
	tools/install_system_packages.sh libstdc++-arm-none-eabi-newlib
	$(RUN) tools/tflm_firmware.py --tflm=$(TFLM_DIR) $(MODEL)

fuzz: $(VENV)/installed device-tools
	$(RUN) tools/fuzz_core.py --seconds=$(FUZZ_SECONDS) --corpus=build/fuzz

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
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
