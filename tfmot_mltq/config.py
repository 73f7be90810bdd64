"""How layers are quantized: the one configuration of the package."""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

MAX_LEVELS = 4
KINDS = ("ternary", "binary")
THRESHOLDS = ("twn", "exact", "learned")


@dataclasses.dataclass(frozen=True)
class ActivationConfig:
    """How the int8 inputs of a layer with multi-level weights are cut into levels.

    Attributes:
      levels: Levels K, 1 to 4: x ~ sum of beta_k * U_k, U_k of the kind of the weights, with
        trained scales and thresholds. 0 leaves the inputs int8. See ``activation_levels``.
      sparsity_penalty: Weight of the mean share of entries of U_k that are not zero, which is added
        to the loss for each such layer; 0 for none.

    Raises:
      ValueError: A field is out of its range.
    """

    levels: int = 0
    sparsity_penalty: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.levels, bool) or self.levels not in range(MAX_LEVELS + 1):
            raise ValueError(
                f"activation_levels must be an integer from 0 to {MAX_LEVELS}, got {self.levels!r}."
            )
        if not 0.0 <= self.sparsity_penalty < np.inf:
            raise ValueError(f"sparsity_penalty must be 0 or more, got {self.sparsity_penalty!r}.")


@dataclasses.dataclass(frozen=True)
class MultiLevelConfig:
    """How a layer gets multi-level weights.

    >>> MultiLevelConfig(levels=3, threshold="exact").levels
    3

    Attributes:
      levels: Number of planes M, 1 to 4.
      kind: "ternary", or "binary" for the multi-level binary baseline.
      threshold: How a ternary level picks its non-zero entries. "twn": entries above 0.7 times the
        mean magnitude (Ternary Weight Networks, Li and Liu 2016, eq. 6). "exact": the entries that
        minimise the squared error of the level, found by sorting. "learned": as "twn", with a
        trained factor per output channel and level, which starts at 0.7.
      per_channel: One scale per output channel and level; otherwise one per tensor and level.
      refit: Least-squares refit of all scales of a channel after the planes are found.
      learned_scales: The scales are trained (as in ReBNet, Ghasemzadeh et al. 2018, and TTQ, Zhu et
        al. 2017) from the least-squares ones on, instead of following from the weights.
      activations: How the inputs of the layer are cut into levels; by default they stay int8.

    Raises:
      ValueError: A field is out of its range, or two exclude each other.
    """

    levels: int = 2
    kind: str = "ternary"
    threshold: str = "twn"
    per_channel: bool = True
    refit: bool = False
    learned_scales: bool = False
    activations: ActivationConfig = ActivationConfig()

    def __post_init__(self) -> None:
        if isinstance(self.levels, bool) or not isinstance(self.levels, (int, np.integer)):
            raise ValueError(
                f"levels must be an integer from 1 to {MAX_LEVELS}, got {self.levels!r}."
            )
        if not 1 <= self.levels <= MAX_LEVELS:
            raise ValueError(f"levels must be from 1 to {MAX_LEVELS}, got {self.levels}.")
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {self.kind!r}.")
        if self.threshold not in THRESHOLDS:
            raise ValueError(f"threshold must be one of {THRESHOLDS}, got {self.threshold!r}.")
        if self.kind == "binary" and self.threshold == "learned":
            raise ValueError("kind='binary' has no thresholds to learn; use threshold='twn'.")
        if self.refit and self.learned_scales:
            raise ValueError(
                "refit and learned_scales are mutually exclusive: each determines the scales."
            )
        if not isinstance(self.activations, ActivationConfig):
            raise ValueError(
                f"activations must be an ActivationConfig, got {self.activations!r}; for "
                "activation levels pass ActivationConfig(levels=2)."
            )
        if self.activations.sparsity_penalty and (
            self.kind == "binary" or not self.activations.levels
        ):
            raise ValueError(
                "sparsity_penalty encourages zeros among ternary activations: it needs "
                "activation levels and kind='ternary'."
            )


# Fields of ``activations`` as keywords, and as older versions called them.
_ACTIVATION_FIELDS = {
    "activation_levels": "levels",
    "activation_sparsity_penalty": "sparsity_penalty",
    "activity_regularization": "sparsity_penalty",
}


def as_config(value: MultiLevelConfig | Mapping[str, Any]) -> MultiLevelConfig:
    """A configuration, given as such or by its fields, as in a saved model or a JSON file.

    Raises:
      ValueError: There is no such field, or a value is out of its range.
    """
    if isinstance(value, MultiLevelConfig):
        return value
    fields = dict(value)
    activations = fields.pop("activations", {})
    if not isinstance(activations, ActivationConfig):
        flat = {new: fields.pop(old) for old, new in _ACTIVATION_FIELDS.items() if old in fields}
        activations = _made(ActivationConfig, {**activations, **flat})
    return _made(MultiLevelConfig, {**fields, "activations": activations})


def _made(cls: type, fields: dict[str, Any]) -> Any:
    known = [field.name for field in dataclasses.fields(cls)]
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise ValueError(
            f"{cls.__name__} has no field {', '.join(map(repr, unknown))}; its fields are "
            f"{', '.join(known)}."
        )
    return cls(**fields)


def config_of_arguments(
    function: str, levels: int, config: MultiLevelConfig | None, fields: Mapping[str, Any]
) -> MultiLevelConfig:
    """The configuration that the arguments of a public function say.

    Args:
      function: Its name.
      levels: Its argument ``levels``.
      config: Its argument ``config``.
      fields: Its other keywords.

    Raises:
      TypeError: A keyword is unknown, or ``config`` is none.
      ValueError: A value is out of range, or ``config`` is passed together with its fields.
    """
    known = [*MultiLevelConfig.__dataclass_fields__, *_ACTIVATION_FIELDS]
    for name in fields:
        if name not in known or name == "levels":
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise TypeError(f"{function}() got an unexpected keyword argument '{name}'{hint}")
    if "activity_regularization" in fields:
        warnings.warn(
            "activity_regularization is now activation_sparsity_penalty.",
            DeprecationWarning,
            stacklevel=3,
        )
    if config is None:
        return as_config({"levels": levels, **fields})
    if not isinstance(config, MultiLevelConfig):
        raise TypeError(f"config must be a MultiLevelConfig, got {config!r}.")
    conflicting = [
        *fields,
        *(["levels"] if levels not in (MultiLevelConfig.levels, config.levels) else []),
    ]
    if conflicting:
        raise ValueError(
            f"{', '.join(conflicting)} cannot be passed with config: set it in the configuration, "
            f"dataclasses.replace(config, {conflicting[0]}=...)."
        )
    return config


def configs_by_name(
    per_layer: Mapping[str, MultiLevelConfig | None], reasons: Mapping[str, str | None]
) -> dict[str, MultiLevelConfig | None]:
    """The configurations of the layers that names and patterns stand for.

    Args:
      per_layer: By name, or by a pattern with ``*`` and ``?``; None for int8.
      reasons: By the names of all layers: why one cannot get levels, None if it can.

    Raises:
      TypeError: A value is not a configuration.
      ValueError: No layer has such a name, or it cannot get levels.
    """
    possible = [name for name, reason in reasons.items() if reason is None]
    found: dict[str, MultiLevelConfig | None] = {}
    # The last one to be written wins: names, and before them the first pattern.
    for pattern, config in sorted(per_layer.items(), key=lambda item: item[0] in reasons):
        if config is not None and not isinstance(config, MultiLevelConfig):
            raise TypeError(f"per_layer['{pattern}'] must be a MultiLevelConfig, got {config!r}.")
        if pattern in reasons:
            if reasons[pattern] is not None and config is not None:
                raise ValueError(f"per_layer names '{pattern}': {reasons[pattern]}.")
            found[pattern] = config
            continue
        matches = fnmatch.filter(possible, pattern)
        if not matches:
            near = difflib.get_close_matches(pattern, possible, 3) or possible
            raise ValueError(
                f"per_layer names '{pattern}', which matches no layer that can have levels. "
                f"Candidates: {', '.join(near)}."
            )
        for name in matches:
            found.setdefault(name, config)
    return found


def Decomposition(*values: Any, **fields: Any) -> MultiLevelConfig:  # noqa: N802
    """The name of ``MultiLevelConfig`` in older versions, its activations inline."""
    warnings.warn(
        "mltq.Decomposition is now mltq.MultiLevelConfig.", DeprecationWarning, stacklevel=2
    )
    names = [field.name for field in dataclasses.fields(MultiLevelConfig)][:-1]
    names += ["activation_levels", "activity_regularization"]
    return as_config({**dict(zip(names, values, strict=False)), **fields})
