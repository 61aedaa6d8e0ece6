"""Weights of cell-gears' model as those of the Flax one, and back."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from perturb_jax.support.errors import InputError

Variables = dict[str, Any]

_MLPS = ("emb_trans_v2", "pert_fuse", "recovery_w", "cross_gene_state", "uncertainty_w")
_NORMS = ("bn_emb", "bn_pert_base")
_CONVOLUTIONS = ("sim_layers", "layers_emb_pos")
UNREAD = "unread"
"""The collection of what cell-gears' state holds and its forward pass never reads."""


class _Entry(NamedTuple):
    """Where an array stands: in cell-gears' state, and in which collection under which path here."""

    reference: str
    collection: str
    path: tuple[str, ...]


def from_torch(state: Mapping[str, Any]) -> Variables:
    """cell-gears' state as Flax variables: "params", "batch_stats" and what is never read, to give it back.

    Args:
        state: `GEARS_Model.state_dict()`, or `FittedGears.parameters()`: tensors or arrays.

    Raises:
        InputError: names that are not those of a GEARS model.

    Source: names and shapes of cell-gears 0.1.2.
    """
    arrays = {name: np.asarray(value) for name, value in state.items()}
    missing = [name for name in ("gene_emb.weight", "pert_emb.weight", "indv_w1") if name not in arrays]
    if missing:
        raise InputError(f"state: expected that of a cell-gears model, {missing[0]} is not in it")
    variables: Variables = {"params": {}, "batch_stats": {}, UNREAD: {}}
    taken = set()
    for entry in _entries(arrays):
        _put(variables[entry.collection], entry.path, jnp.asarray(_turned(entry, arrays[entry.reference])))
        taken.add(entry.reference)
    variables[UNREAD] = {name: value for name, value in arrays.items() if name not in taken}
    return variables


def to_torch(variables: Variables) -> dict[str, np.ndarray]:
    """The inverse of `from_torch`: arrays by cell-gears' names, in the shapes that `load_state_dict` expects.

    What cell-gears never reads is there if the variables come from `from_torch`; for variables of a new Flax model
    `load_state_dict(..., strict=False)` leaves it as it is.
    """
    state = {name: np.asarray(value) for name, value in variables.get(UNREAD, {}).items()}
    for collection in ("params", "batch_stats"):
        for path, value in _leaves(variables[collection]):
            name = _reference_name(path)
            shaped = np.asarray(value)
            state[name] = _shaped(name, shaped.T if path[-1] == "kernel" else shaped)
    return state


def _entries(names: Mapping[str, Any]) -> Iterator[_Entry]:
    for name in names:
        parts = name.split(".")
        module, rest = parts[0], parts[1:]
        if (rest and rest[-1] == "num_batches_tracked") or module in ("pert_w", "bn_pert_base_trans"):
            continue
        path: tuple[str, ...]
        if module in _MLPS:
            layer, is_norm = divmod(int(rest[1]), 3)
            path = (module, f"norm_{layer}", "norm") if is_norm else (module, f"linear_{layer}")
        elif module in _NORMS:
            path = (module,)
        elif module in _CONVOLUTIONS:
            path = (f"{module}_{rest[0]}",)
        else:
            yield _Entry(name, "params", (module,))
            continue
        running = {"running_mean": "mean", "running_var": "var"}
        if rest[-1] in running:
            yield _Entry(name, "batch_stats", (*path, running[rest[-1]]))
        else:
            linear = "linear" in path[-1] or module in _CONVOLUTIONS
            leaf = "bias" if rest[-1] == "bias" else "kernel" if linear else "scale"
            yield _Entry(name, "params", (*path, leaf))


def _turned(entry: _Entry, value: np.ndarray) -> np.ndarray:
    if entry.path[-1] == "kernel":
        return value.T
    return value.reshape([size for size in value.shape if size != 1]) if entry.path[0].startswith("indv") else value


def _reference_name(path: tuple[str, ...]) -> str:
    module, leaf = path[0], path[-1]
    if len(path) == 1:
        return f"{module}.weight" if "emb" in module else module
    end = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}.get(leaf, leaf)
    if module in _MLPS:
        kind, number = path[1].split("_")
        return f"{module}.network.{3 * int(number) + (kind == 'norm')}.{end}"
    for convolution in _CONVOLUTIONS:
        if module.startswith(convolution):
            return f"{convolution}.{module.removeprefix(convolution + '_')}.lin.{end}"
    return f"{module}.{end}"


def _shaped(name: str, value: np.ndarray) -> np.ndarray:
    shapes = {"indv_w1": (*value.shape, 1), "indv_b1": (*value.shape, 1), "indv_w2": (1, *value.shape),
              "indv_b2": (1, *value.shape)}  # fmt: skip
    return value.reshape(shapes.get(name, value.shape))


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
    tree[path[-1]] = value


def _leaves(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value
