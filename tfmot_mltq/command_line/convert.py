"""Writes a Keras model (.keras, .h5 or a SavedModel folder) as a .tflite with ternary levels.

  mltq convert MODEL [flags]

The model is quantized first. One that mltq.quantize_model made, trained or pruned, is converted as
it is.

  mltq convert digits.keras --levels=2 --data=samples.npz
  mltq convert digits.keras --sparsity=0.9 --data=images/ --scale=0.00392157 --output=digits.tflite
  mltq convert trained.keras --optimize=speed --target=rv32imc
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

from absl import flags

import tfmot_mltq as mltq
from tfmot_mltq.calibration import is_calibrated
from tfmot_mltq.command_line.keras_models import load_keras_model
from tfmot_mltq.command_line.output_files import check_output
from tfmot_mltq.command_line.samples import define_sample_flags, load_samples
from tfmot_mltq.config import KINDS, THRESHOLDS, as_config
from tfmot_mltq.cost_model.choose_encodings import DEFAULT_TARGET, OPTIMIZE
from tfmot_mltq.cost_model.predict import targets
from tfmot_mltq.helpers.files import write_file
from tfmot_mltq.helpers.framework_types import Model
from tfmot_mltq.layout.frameworks import adapter_of

FILES = "convert takes one model"
FEWEST_FILES = MOST_FILES = 1
# Named as the arguments of quantize_model; of no use for a model that is quantized already.
_FIELD_FLAGS = ("levels", "kind", "threshold", "refit", "activation_levels")
_LAYER_FLAGS = ("include_first_layer", "include_last_layer")
_PRUNE_FLAGS = ("sparsity", "granularity")


def define_flags(values: flags.FlagValues) -> None:
    """The flags of the command."""
    flags.DEFINE_string(
        "output", None, "File to write; by default the model's name with .tflite.",
        flag_values=values,
    )  # fmt: skip
    flags.DEFINE_bool("overwrite", False, "Overwrite an existing file.", flag_values=values)
    flags.DEFINE_integer("levels", 2, "Levels of the weights, 1 to 4.", flag_values=values)
    flags.DEFINE_enum("kind", "ternary", KINDS, "Kind of levels.", flag_values=values)
    flags.DEFINE_enum(
        "threshold", "twn", THRESHOLDS, "How levels pick their entries.", flag_values=values
    )
    flags.DEFINE_bool(
        "refit", False, "Fit all scales of a channel together; best without training.",
        flag_values=values,
    )  # fmt: skip
    flags.DEFINE_integer(
        "activation_levels", 0, "Levels of the activations; 0 for int8.", flag_values=values
    )
    flags.DEFINE_string(
        "config", None,
        "JSON file with the fields of MultiLevelConfig, instead of the flags above, and "
        '"per_layer", configurations of single layers by name or pattern.',
        flag_values=values,
    )  # fmt: skip
    for place in ("first", "last"):
        flags.DEFINE_bool(
            f"include_{place}_layer", False, f"Give the {place} layer levels too.",
            flag_values=values,
        )  # fmt: skip
    flags.DEFINE_float(
        "sparsity", 0.0,
        "Share of the bits, or words, to prune, without training. Pruning while training keeps "
        "more accuracy: see mltq.prune_low_magnitude.",
        flag_values=values,
    )  # fmt: skip
    flags.DEFINE_enum(
        "granularity", "bit", ["bit", "word"], "What --sparsity prunes.", flag_values=values
    )
    define_sample_flags(
        values,
        "A few hundred typical inputs, for the int8 ranges of a model that was not trained with "
        "levels: an .npz or .npy file, or a folder of images.",
    )
    flags.DEFINE_enum(
        "optimize", "size", OPTIMIZE, "What encodings are chosen for.", flag_values=values
    )
    flags.DEFINE_enum(
        "target", DEFAULT_TARGET, targets(), "Whose instructions count.", flag_values=values
    )
    flags.DEFINE_integer(
        "max_scratch_bytes", None, "Refuse layers that need more.", flag_values=values
    )
    flags.DEFINE_enum(
        "runtime", "tflm", ["tflm", "litert"],
        "tflm: refuse operators that TensorFlow Lite Micro lacks; litert: keep them.",
        flag_values=values,
    )  # fmt: skip
    flags.DEFINE_bool(
        "verify", True, "Compare the result with the model, and refuse one that differs.",
        flag_values=values,
    )  # fmt: skip
    flags.DEFINE_float(
        "tolerance", None,
        "Largest difference that --verify allows, as a share of an output's range; by default "
        "0.25, or more with a warning where rounding adds up.",
        flag_values=values,
    )  # fmt: skip


def run(values: flags.FlagValues, files: list[str]) -> None:
    """Converts."""
    path = pathlib.Path(files[0])
    output = pathlib.Path(values.output) if values.output else path.with_suffix(".tflite")
    check_output(output, values.overwrite)
    model = load_keras_model(path)
    samples = load_samples(values, model.input_shape) if values.data else None
    q = _quantized(model, values)
    if samples is None and not is_calibrated(q, adapter_of(q)):
        raise ValueError(
            "The model has no int8 activation ranges yet. Pass --data, a file with some hundred "
            "typical inputs."
        )
    tflite = mltq.convert(
        q,
        samples,
        optimize=values.optimize,
        target=values.target,
        max_scratch_bytes=values.max_scratch_bytes,
        runtime=values.runtime,
        verify=values.verify,
        tolerance=values.tolerance,
    )
    write_file(output, tflite)
    mltq.summary(q, target=values.target, optimize=values.optimize)
    print(f"{output}: {len(tflite):,} bytes")


def _quantized(model: Model, values: flags.FlagValues) -> Model:
    adapter = adapter_of(model)
    if any(adapter.is_quantized(layer) for layer in model.layers):
        chosen = [
            name
            for name in (*_FIELD_FLAGS, "config", *_LAYER_FLAGS, *_PRUNE_FLAGS)
            if values[name].present
        ]
        if chosen:
            raise ValueError(
                f"The model is already quantized, so --{chosen[0]} has no effect. Omit it, or "
                "pass the float model."
            )
        return model
    q = mltq.quantize_model(
        model, **_options(values), **{name: values[name].value for name in _LAYER_FLAGS}
    )
    return _pruned(q, values) if values.sparsity else q


def _options(values: flags.FlagValues) -> dict[str, Any]:
    """What the flags, or the file that one names, say of the levels."""
    if not values.config:
        return {name: values[name].value for name in _FIELD_FLAGS}
    conflicting = [name for name in _FIELD_FLAGS if values[name].present]
    if conflicting:
        raise ValueError(
            f"--{conflicting[0]} cannot be passed with --config: set it in {values.config}."
        )
    path = pathlib.Path(values.config)
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a JSON configuration: {error}") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("per_layer", {}), dict):
        raise ValueError(f"{path} must hold an object with the fields of MultiLevelConfig.")
    try:
        per_layer = {
            name: None if found is None else as_config(found)
            for name, found in fields.pop("per_layer", {}).items()
        }
        return {"config": as_config(fields), "per_layer": per_layer}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _pruned(q: Model, values: flags.FlagValues) -> Model:
    """The model with the sparsity, at once."""
    schedule = mltq.ConstantSparsity(values.sparsity, begin_step=0)
    p = mltq.prune_low_magnitude(q, schedule, granularity=values.granularity)
    update = mltq.UpdatePruningStep()
    update.set_model(p)
    update.on_train_begin()
    update.on_train_batch_begin(-1)
    return p
