"""Which tensors of a graph share one int8 range.

TFLite's operators of ``layout.int8_constraints`` have one scale for all inputs and outputs. Tensors
that such operators connect are a group, and all of a group are quantized to one range, which holds
the values of all of them. A range is observed where values arise; where they are only moved, there
is nothing to quantize.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Collection, Iterable, Sequence

from tfmot_mltq.helpers.framework_types import Layer, Model, Tensor
from tfmot_mltq.layout.graph import ModelGraphs, Node
from tfmot_mltq.layout.int8_constraints import (
    Constraint,
    constraint_of,
    fixed_range,
    rounds_ties_away,
    saturation,
)
from tfmot_mltq.layout.names import scope_name
from tfmot_mltq.layout.recurrent import is_fused_lstm

# A layer, (\"layer\", name), or a tensor by its id.
_Member = tuple[str, str] | int


@dataclasses.dataclass(frozen=True)
class RangeSite:
    """One of the places where the range of a group is observed.

    Attributes:
      group: Name of the layer that observes the group first.
      site: Number of this place.
      sites: How many there are.
      limits: The range outside which no layer that reads the values changes its output, where
        there is such a range.
      ties_away: Whether halves are rounded to the int8 value further from 0.
    """

    group: str
    site: int
    sites: int
    limits: tuple[float, float] | None = None
    ties_away: bool = False


@dataclasses.dataclass(frozen=True)
class RangePlan:
    """Where the tensors of a model are quantized.

    Attributes:
      sites: By the names of layers and inputs, for outputs with a range that is observed.
      fixed: Smallest and largest value of outputs with a range that TFLite fixes.
    """

    sites: dict[str, RangeSite]
    fixed: dict[str, tuple[float, float]]


def plan_ranges(model: Model, graphs: ModelGraphs) -> RangePlan:
    """Says which outputs of a model's layers are quantized, and which of them together.

    Args:
      model: The model, of the layers that TFLite runs.
      graphs: Of its framework.
    """
    nodes = graphs.nodes_in_order(model)
    unstored = graphs.unstored_layers(model)
    groups = _groups_of(nodes, graphs.is_float)
    observed: dict[_Member, list[str]] = {}
    fixed: dict[_Member, dict[str, tuple[float, float]]] = {}
    lstms: dict[_Member, set[str]] = {}
    for node in nodes:
        name = node.layer.name
        root = groups.root(("layer", name))
        stores = len(node.outputs) == 1 and graphs.is_float(node.outputs[0])
        if not stores or name in unstored or constraint_of(node.layer) is Constraint.MOVES:
            continue
        limits = fixed_range(node.layer)
        if limits is not None:
            fixed.setdefault(root, {})[name] = limits
        elif is_fused_lstm(node.layer):
            lstms.setdefault(root, set()).add(name)
        elif name not in observed.setdefault(root, []):
            observed[root].append(name)
    for root, names in lstms.items():
        # The output of an LSTM has the range of its state: it is only quantized where the group
        # has another one.
        if len(names) > 1 or observed.get(root) or fixed.get(root):
            observed.setdefault(root, []).extend(names)
    for root, ranges in fixed.items():
        members = [node for node in nodes if groups.root(("layer", node.layer.name)) == root]
        limits = _fixed_for_all(members, observed.get(root, []), set(ranges.values()))
        if limits is not None:
            ranges.update(dict.fromkeys(observed.pop(root, []), limits))
        else:
            observed.setdefault(root, []).extend(ranges)
            ranges.clear()
    order = {name: at for at, name in enumerate(node.layer.name for node in reversed(nodes))}
    needed = _needed_ranges(nodes, {id(tensor) for tensor in model.outputs})
    away = {node.layer.name for node in nodes if rounds_ties_away(node.layer)}
    sites: dict[str, RangeSite] = {}
    for joined in observed.values():
        ordered = sorted(joined, key=lambda name: -order[name])
        limits = needed.get(ordered[0]) if len(ordered) == 1 else None
        for site, name in enumerate(ordered):
            sites[name] = RangeSite(ordered[0], site, len(ordered), limits, name in away)
    return RangePlan(sites, {name: r for ranges in fixed.values() for name, r in ranges.items()})


def _groups_of(nodes: Iterable[Node], is_float: Callable[[Tensor], bool]) -> _Groups:
    """The layers and tensors of a model, those with one range joined."""
    groups = _Groups()
    for node in nodes:
        outputs = [id(tensor) for tensor in node.outputs if is_float(tensor)]
        # The calls of a shared layer have one range.
        groups.join([("layer", node.layer.name), *outputs] if outputs else [])
        if constraint_of(node.layer) is not None:
            groups.join([*outputs, *(id(tensor) for tensor in node.inputs if is_float(tensor))])
    return groups


def _fixed_for_all(
    members: Iterable[Node], observed: Iterable[str], limits: Collection[tuple[float, float]]
) -> tuple[float, float] | None:
    """The one fixed range in which all values of a group lie; None if there is none.

    Args:
      members: Calls of the group.
      observed: Names of its layers whose output has no fixed range by itself.
      limits: Fixed ranges of the others.
    """
    constraints = {node.layer.name: constraint_of(node.layer) for node in members}
    mixes = Constraint.MIXES in constraints.values()
    has_sources = any(constraints.get(name) is not Constraint.AVERAGES for name in observed)
    return None if mixes or has_sources or len(limits) > 1 else next(iter(limits))


def _needed_ranges(
    nodes: Iterable[Node], outputs: Collection[int]
) -> dict[str, tuple[float, float]]:
    """By the names of layers: the range outside which nothing that reads their output changes.

    Args:
      nodes: Calls of the model.
      outputs: The id of each output of the model.
    """
    read: dict[int, tuple[float, float]] = {}
    for node in nodes:
        low, high = saturation(node.layer)
        for tensor in node.inputs:
            old = read.get(id(tensor), (0.0, 0.0))
            read[id(tensor)] = min(old[0], low), max(old[1], high)
    found: dict[str, tuple[float, float]] = {}
    for node in nodes:
        for tensor in node.outputs:
            unbounded = (-math.inf, math.inf)
            low, high = unbounded if id(tensor) in outputs else read.get(id(tensor), unbounded)
            old = found.get(node.layer.name, (0.0, 0.0))
            found[node.layer.name] = min(old[0], low), max(old[1], high)
    return {name: limits for name, limits in found.items() if not all(map(math.isinf, limits))}


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
        self._groups: dict[str, Layer] = {}

    def behind(self, name: str) -> list[Callable[[Tensor], Tensor]]:
        """What quantizes the output of a layer or input; nothing where it is not quantized."""
        if name in self._plan.fixed:
            return [self._fixed_layer(self._plan.fixed[name], name=scope_name(f"quantize_{name}"))]
        site = self._plan.sites.get(name)
        if site is None:
            return []
        if site.sites == 1:
            name = scope_name(f"quantize_{name}")
            return [self._range_layer(limits=site.limits, name=name)]
        if site.group not in self._groups:
            self._groups[site.group] = self._range_layer(
                sites=site.sites, name=scope_name(f"quantize_{site.group}")
            )
        options = {"ties_away": True} if site.ties_away else {}
        return [functools.partial(self._groups[site.group], site=site.site, **options)]

    def on_input(self, tensor: Tensor, name: str) -> Tensor:
        """The quantized form of an input."""
        for quantize in self.behind(name):
            tensor = quantize(tensor)
        return tensor


class _Groups:
    """Disjoint sets."""

    def __init__(self) -> None:
        self._parents: dict[_Member, _Member] = {}

    def root(self, member: _Member) -> _Member:
        """The member that stands for the set of ``member``."""
        path = []
        while (parent := self._parents.setdefault(member, member)) != member:
            path.append(member)
            member = parent
        self._parents.update(dict.fromkeys(path, member))
        return member

    def join(self, members: Sequence[_Member]) -> None:
        """Makes one set of those of ``members``."""
        for member in members[1:]:
            self._parents[self.root(member)] = self.root(members[0])
