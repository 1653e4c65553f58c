"""Do once what a traced graph does twice: forward pass and explanation run the same trunk on the same image."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch.fx import GraphModule, Node

Key = tuple[Any, ...]


def share(graph: GraphModule) -> None:
    """Let equal operations on equal values be one node, in place."""
    _without_mutation(graph)
    seen: dict[Key, Node] = {}
    for node in list(graph.graph.nodes):
        key = _key(graph, node)
        if key is None:
            continue
        if key in seen:
            node.replace_all_uses_with(seen[key])
            graph.graph.erase_node(node)
        else:
            seen[key] = node
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _without_mutation(graph: GraphModule) -> None:
    """``relu_`` of a value that nothing else reads is ``relu``."""
    for node in graph.graph.nodes:
        target = node.target
        if not isinstance(target, torch._ops.OpOverload) or not target._schema.is_mutable:
            continue
        own = node.args[0]
        plain = getattr(torch.ops.aten, target._opname.removesuffix("_"), None)
        if target.namespace == "aten" and plain is not None and isinstance(own, Node) and len(own.users) == 1:
            node.target = getattr(plain, target._overloadname)


def _key(graph: GraphModule, node: Node) -> Key | None:
    """What a node computes; None where it must stay for itself."""
    if node.op == "get_attr":
        return ("attribute", id(operator.attrgetter(str(node.target))(graph)))
    if node.op != "call_function" or node.is_impure():
        return None
    if isinstance(node.target, torch._ops.OpOverload) and (
        node.target._schema.is_mutable or torch.Tag.nondeterministic_seeded in node.target.tags
    ):
        return None
    return (node.target, _frozen(node.args), _frozen(node.kwargs))


def _frozen(value: Any) -> Any:
    """Arguments as something that can be looked up; 1, 1.0 and True are different."""
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    if isinstance(value, dict):
        return tuple((name, _frozen(item)) for name, item in value.items())
    if isinstance(value, slice):
        return ("slice", _frozen(value.start), _frozen(value.stop), _frozen(value.step))
    return (type(value), value)
