"""Parameters there and back: checkpoints, and those of the PyTorch reference."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import flax.serialization
import jax
import jax.numpy as jnp
import msgpack
import numpy as np

from perturb_jax.support.errors import InputError

_FORMAT = "perturb_jax gears_flax 1"


def fingerprint(*parts: Any) -> str:
    """A SHA-256 of plain values and of pytrees of arrays: what a training depends on."""
    digest = hashlib.sha256()
    for part in parts:
        for leaf in jax.tree.leaves(part):
            if isinstance(leaf, jax.Array | np.ndarray):
                array = np.asarray(leaf)
                digest.update(f"{array.dtype}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
            else:
                digest.update(json.dumps(leaf).encode())
    return digest.hexdigest()


def write_checkpoint(path: Path, of: str, state: Any) -> None:
    """Put a pytree of arrays in the place of an earlier one.

    Args:
        path: the file.
        of: what the training depends on, as `fingerprint`.
        state: the pytree.

    Raises:
        InputError: a path that cannot be written.
    """
    tree = flax.serialization.to_state_dict(jax.tree.map(np.asarray, state))
    content = flax.serialization.msgpack_serialize({"format": _FORMAT, "of": of, "state": tree})
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise InputError(f"checkpoint: {path} cannot be written ({error}); choose another place") from None


def read_checkpoint(path: Path, of: str, like: Any) -> Any | None:
    """The pytree of a checkpoint; None where there is no file.

    Args:
        path: the file.
        of: what the training depends on, as `fingerprint`.
        like: a pytree of the same structure and shapes.

    Raises:
        InputError: a file that is no whole checkpoint, or one of another training.
    """
    if not path.exists():
        return None
    try:
        found = flax.serialization.msgpack_restore(path.read_bytes())
        if found["format"] != _FORMAT:
            raise ValueError(found["format"])
        if found["of"] == of:
            state = flax.serialization.from_state_dict(like, found["state"])
    except (ValueError, KeyError, TypeError, AttributeError, msgpack.exceptions.UnpackException) as error:
        raise InputError(f"checkpoint: {path} is no checkpoint of this version ({error!r:.80}); remove it") from None
    if found["of"] != of:
        raise InputError(
            f"checkpoint: {path} belongs to another training (other data, settings or seed); "
            "remove it or choose another file"
        )
    shapes = jax.tree.map(np.shape, like), jax.tree.map(np.shape, state)
    if shapes[0] != shapes[1]:
        raise InputError(f"checkpoint: {path} holds arrays of other shapes; remove it")
    return jax.tree.map(lambda old, new: jax.numpy.asarray(new, old.dtype), like, state)


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
