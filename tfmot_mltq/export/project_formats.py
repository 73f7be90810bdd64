"""The formats of an exported project: which files it has for a build system, and where."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tfmot_mltq.export.project import Project

# The TensorFlow Lite Micro of each build system, which exported code then depends on.
_ARDUINO_TFLM = "Chirale_TensorFLowLite"
_ESP_IDF_TFLM = "espressif/esp-tflite-micro"


def _c(project: Project, name: str) -> Project:
    """All in one folder, with a main."""
    main = {f"{name}_main.c": "c/main.c.j2"}
    return dataclasses.replace(project, templates={**project.templates, **main})


def _arduino(project: Project, name: str) -> Project:
    """An Arduino library with the self-test as its example."""
    return _in_folder(
        project,
        "src",
        {
            "library.properties": "arduino/library.properties.j2",
            "examples/self_test/self_test.ino": "arduino/self_test.ino.j2",
        },
        _ARDUINO_TFLM,
    )


def _esp_idf(project: Project, name: str) -> Project:
    """A project of ESP-IDF with the model as a component, and the self-test as the application."""
    component = f"components/{name}"
    return _in_folder(
        project,
        component,
        {
            "CMakeLists.txt": "esp_idf/project_CMakeLists.txt.j2",
            "main/CMakeLists.txt": "esp_idf/main_CMakeLists.txt.j2",
            "main/main.c": "esp_idf/main.c.j2",
            f"{component}/CMakeLists.txt": "esp_idf/component_CMakeLists.txt.j2",
            f"{component}/idf_component.yml": "esp_idf/idf_component.yml.j2",
            f"{component}/Kconfig": "esp_idf/Kconfig.j2",
        },
        _ESP_IDF_TFLM,
    )


def _in_folder(project: Project, folder: str, others: dict[str, str], tflm: str) -> Project:
    depends = tflm if project.needs_interpreter else ""
    return dataclasses.replace(
        project,
        folder=f"{folder}/",
        templates={f"{folder}/{file}": t for file, t in project.templates.items()} | others,
        context={**project.context, "depends": depends},
    )


PROJECT_FORMATS: dict[str, Callable[[Project, str], Project]] = {
    "c": _c,
    "arduino": _arduino,
    "esp-idf": _esp_idf,
}
