"""Which tensors of a graph share one int8 range.

TFLite's operators of ``layout.int8_constraints`` have one scale for all inputs and outputs. Tensors
that such operators connect are a group, and all of a group are quantized to one range, which holds
the values of all of them. A range is observed where values arise; where they are only moved, there
is nothing to quantize.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable
from typing import Any

from tfmot_mltq.layout.graph import Node
from tfmot_mltq.layout.int8_constraints import Constraint, constraint_of, fixed_range
from tfmot_mltq.layout.names import scope_name


@dataclasses.dataclass(frozen=True)
class RangeSite:
    """One of the places where the range of a group is observed.

    Attributes:
      group: Name of the layer that observes the group first.
      site: Number of this place.
      sites: How many there are.
    """

    group: str
    site: int
    sites: int


@dataclasses.dataclass(frozen=True)
class RangePlan:
    """Where the tensors of a model are quantized.

    Attributes:
      sites: By the names of layers and inputs, for outputs with a range that is observed.
      fixed: Smallest and largest value of outputs with a range that TFLite fixes.
    """

    sites: dict[str, RangeSite]
    fixed: dict[str, tuple[float, float]]


def plan_ranges(
    nodes: Iterable[Node], deferred: Collection[str], is_float: Callable[[Any], bool]
) -> RangePlan:
    """Says which outputs of a model's layers are quantized, and which of them together.

    Args:
      nodes: Calls of the model, producers before consumers.
      deferred: Layers whose output TFLite does not store.
      is_float: Whether a symbolic tensor is of floating point.
    """
    nodes = list(nodes)
    groups = _Groups()
    for node in nodes:
        name = node.layer.name
        outputs = [id(tensor) for tensor in node.outputs if is_float(tensor)]
        # The calls of a shared layer have one range.
        groups.join([("layer", name), *outputs] if outputs else [])
        if constraint_of(node.layer) is not None:
            groups.join([*outputs, *(id(tensor) for tensor in node.inputs if is_float(tensor))])
    observed: dict[Any, list[str]] = {}
    fixed: dict[Any, dict[str, tuple[float, float]]] = {}
    mixing: set[Any] = set()
    for node in nodes:
        name = node.layer.name
        root = groups.root(("layer", name))
        constraint = constraint_of(node.layer)
        if constraint is Constraint.MIXES:
            mixing.add(root)
        stores = len(node.outputs) == 1 and is_float(node.outputs[0])
        if not stores or name in deferred or constraint is Constraint.MOVES:
            continue
        limits = fixed_range(node.layer)
        if limits is not None:
            fixed.setdefault(root, {})[name] = limits
        elif name not in observed.setdefault(root, []):
            observed[root].append(name)
    # Names of layers whose values lie in the fixed range of the layer before them.
    for root, names in fixed.items():
        averages = {
            node.layer.name
            for node in nodes
            if constraint_of(node.layer) is Constraint.AVERAGES
            and groups.root(("layer", node.layer.name)) == root
        }
        sources = [name for name in observed.get(root, []) if name not in averages]
        if not sources and root not in mixing and len(set(names.values())) == 1:
            limits = next(iter(names.values()))
            names.update(dict.fromkeys(observed.pop(root, []), limits))
        else:
            observed.setdefault(root, []).extend(names)
            names.clear()
    order = {name: at for at, name in enumerate(node.layer.name for node in reversed(nodes))}
    sites: dict[str, RangeSite] = {}
    for names in observed.values():
        ordered = sorted(names, key=lambda name: -order[name])
        for site, name in enumerate(ordered):
            sites[name] = RangeSite(ordered[0], site, len(ordered))
    return RangePlan(sites, {name: r for names in fixed.values() for name, r in names.items()})


class RangeQuantizers:
    """The quantizing layers of a plan, made when they are first needed.

    Args:
      plan: Where they are.
      range_layer: Class of the layers that observe a range; they are called with the number of the
        place.
      fixed_layer: Class of the layers with a fixed range.
    """

    def __init__(self, plan: RangePlan, range_layer: type, fixed_layer: type) -> None:
        self._plan = plan
        self._range_layer = range_layer
        self._fixed_layer = fixed_layer
        self._groups: dict[str, Any] = {}

    def behind(self, name: str) -> list[Callable[[Any], Any]]:
        """What quantizes the output of a layer or input; nothing where it is not quantized."""
        if name in self._plan.fixed:
            return [self._fixed_layer(self._plan.fixed[name], name=scope_name(f"quantize_{name}"))]
        site = self._plan.sites.get(name)
        if site is None:
            return []
        if site.sites == 1:
            return [self._range_layer(name=scope_name(f"quantize_{name}"))]
        if site.group not in self._groups:
            self._groups[site.group] = self._range_layer(
                sites=site.sites, name=scope_name(f"quantize_{site.group}")
            )
        return [functools.partial(self._groups[site.group], site=site.site)]

    def on_input(self, tensor: Any, name: str) -> Any:
        """The quantized form of an input."""
        for quantize in self.behind(name):
            tensor = quantize(tensor)
        return tensor


class _Groups:
    """Disjoint sets."""

    def __init__(self) -> None:
        self._parents: dict[Any, Any] = {}

    def root(self, member: Any) -> Any:
        """The member that stands for the set of ``member``."""
        path = []
        while (parent := self._parents.setdefault(member, member)) != member:
            path.append(member)
            member = parent
        self._parents.update(dict.fromkeys(path, member))
        return member

    def join(self, members: list[Any]) -> None:
        """Makes one set of those of ``members``."""
        for member in members[1:]:
            self._parents[self.root(member)] = self.root(members[0])
