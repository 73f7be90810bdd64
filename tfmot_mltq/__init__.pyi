"""The public names, for editors and type checkers; ``__init__.py`` imports each on first use."""

from tfmot_mltq.calibration import calibrate
from tfmot_mltq.config import ActivationConfig, Decomposition, MultiLevelConfig
from tfmot_mltq.converter.convert import convert
from tfmot_mltq.distillation import distill
from tfmot_mltq.errors import ConversionError, RuntimeUnavailableError, UnsupportedModelError
from tfmot_mltq.pruning.prune import prune_low_magnitude
from tfmot_mltq.pruning.schedule import ConstantSparsity, PolynomialDecay
from tfmot_mltq.pruning.update_pruning_step import UpdatePruningStep
from tfmot_mltq.quantize import (
    quantize_annotate_layer,
    quantize_apply,
    quantize_model,
    strip,
    ternary_weights,
)
from tfmot_mltq.report.compare import compare
from tfmot_mltq.report.potential_speedup import potential_speedup
from tfmot_mltq.report.summary import summary
from tfmot_mltq.report.write_report import write_report
from tfmot_mltq.runtime.interpreter import Interpreter
from tfmot_mltq.search.sparsify import sparsify
from tfmot_mltq.tfmot.custom_objects import quantize_scope
from tfmot_mltq.tfmot.quantize_scheme import MultiLevelQuantizeScheme
from tfmot_mltq.verification.debug import debug

__all__ = [
    "ActivationConfig",
    "ConstantSparsity",
    "ConversionError",
    "Decomposition",
    "Interpreter",
    "MultiLevelConfig",
    "MultiLevelQuantizeScheme",
    "PolynomialDecay",
    "RuntimeUnavailableError",
    "UnsupportedModelError",
    "UpdatePruningStep",
    "calibrate",
    "compare",
    "convert",
    "debug",
    "distill",
    "potential_speedup",
    "prune_low_magnitude",
    "quantize_annotate_layer",
    "quantize_apply",
    "quantize_model",
    "quantize_scope",
    "sparsify",
    "strip",
    "summary",
    "ternary_weights",
    "write_report",
]
