"""A model as a project, for a runtime and in a project format."""

from __future__ import annotations

from tfmot_mltq.export.c_project import plan_c_project
from tfmot_mltq.export.project import Project
from tfmot_mltq.export.project_formats import PROJECT_FORMATS
from tfmot_mltq.export.tflm_project import plan_tflm_project

_PLANNERS = {"none": plan_c_project, "tflm": plan_tflm_project}


def plan_project(
    tflite: bytes, runtime: str, project_format: str, name: str, source: str
) -> Project:
    """The project, not yet written.

    Args:
      tflite: The model.
      runtime: "none" for code without an interpreter, or "tflm".
      project_format: One of ``PROJECT_FORMATS``.
      name: Prefix of functions and name of files, a C identifier.
      source: What comments name as the source.

    Raises:
      ValueError, ConversionError, RuntimeUnavailableError: As ``plan_c_project`` and
        ``plan_tflm_project``.
    """
    return PROJECT_FORMATS[project_format](
        _PLANNERS[runtime](tflite, name=name, source=source), name
    )
