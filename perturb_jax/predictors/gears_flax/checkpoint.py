"""Parameters there and back: checkpoints, and those of the PyTorch reference."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.serialization
import jax
import jax.numpy as jnp
import msgpack
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from perturb_jax.predictors.gears_flax.model import Weights
from perturb_jax.support.checks import listed
from perturb_jax.support.errors import InputError, prefixed
from perturb_jax.support.files import whole_file

_FORMAT = "perturb_jax gears_flax 1"


def fingerprint(settings: str, arrays: Any) -> str:
    """A SHA-256 of what a training depends on: plain text, and a pytree of arrays."""
    digest = hashlib.sha256(settings.encode(errors="backslashreplace"))
    for leaf in jax.tree.leaves(arrays):
        array = np.asarray(leaf)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def write_checkpoint(path: Path, of: str, state: Any) -> None:
    """Replace an earlier file by a pytree of arrays; `of` is the `fingerprint` of what the training depends on."""
    tree = flax.serialization.to_state_dict(jax.tree.map(np.asarray, state))
    content = flax.serialization.msgpack_serialize({"format": _FORMAT, "of": of, "state": tree})
    with prefixed("checkpoint: "), whole_file(path) as whole:
        whole.write_bytes(content)


def read_checkpoint(path: Path, of: str, like: Any) -> Any | None:
    """The pytree of a checkpoint, of the structure and shapes of another one; None where there is no file."""
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


_MLPS = ("emb_trans_v2", "pert_fuse", "recovery_w", "cross_gene_state", "uncertainty_w")
_NORMS = ("bn_emb", "bn_pert_base")
_CONVOLUTIONS = ("sim_layers", "layers_emb_pos")
UNREAD = "unread"
"""The collection of what cell-gears' state holds and its forward pass never reads."""


def from_torch(state: Mapping[str, Any]) -> Weights:
    """cell-gears' state as Flax variables: "params", "batch_stats" and what is never read, to give it back.

    `state` is `GEARS_Model.state_dict()`, or `FittedGears.parameters()`: tensors or arrays, as in cell-gears 0.1.2.
    """
    arrays = {name: np.asarray(value) for name, value in state.items()}
    missing = [name for name in ("gene_emb.weight", "pert_emb.weight", "indv_w1") if name not in arrays]
    if missing:
        raise InputError(f"state: expected that of a cell-gears model, {missing[0]} is not in it")
    flat: dict[tuple[str, ...], Any] = {}
    for name, value in arrays.items():
        path = _path(name)
        if path is None:
            flat[UNREAD, name] = value
        else:
            weights = value.T if path[-1] == "kernel" else value
            flat[path] = jnp.asarray(weights.squeeze() if name.startswith("indv") else weights)
    return {"params": {}, "batch_stats": {}, UNREAD: {}} | unflatten_dict(flat)


def check_variables(given: Weights, wanted: Weights) -> None:
    """Refuse variables that are not finite numbers of the names and shapes that a model has; names all of them."""
    wrong: dict[str, list[str]] = {"missing": [], "not of this model": [], "of another shape": [], "not finite": []}
    for collection in ("params", "batch_stats"):
        leaves, known = flatten_dict(given[collection]), flatten_dict(wanted[collection])
        wrong["missing"] += map(_reference_name, known.keys() - leaves.keys())
        wrong["not of this model"] += map(_reference_name, leaves.keys() - known.keys())
        for path in known.keys() & leaves.keys():
            if np.shape(leaves[path]) != known[path].shape:
                wrong["of another shape"].append(_reference_name(path))
            elif not np.isfinite(leaves[path]).all():
                wrong["not finite"].append(_reference_name(path))
    problems = [f"{listed(sorted(names))} {what}" for what, names in wrong.items() if names]
    if problems:
        raise InputError(
            f"parameters: {'; '.join(problems)}; expected those of a GEARS with these settings, readouts and graph"
        )


def to_torch(variables: Weights) -> dict[str, np.ndarray]:
    """The inverse of `from_torch`: arrays by cell-gears' names, in the shapes that `load_state_dict` expects.

    What cell-gears never reads is there if the variables come from `from_torch`; for variables of a new Flax model
    `load_state_dict(..., strict=False)` leaves it as it is.
    """
    state = {name: np.asarray(value) for name, value in variables.get(UNREAD, {}).items()}
    for collection in ("params", "batch_stats"):
        for path, leaf in flatten_dict(variables[collection]).items():
            value, name = np.asarray(leaf), _reference_name(path)
            if name in ("indv_w1", "indv_b1"):
                value = value[..., None]
            elif name in ("indv_w2", "indv_b2"):
                value = value[None]
            state[name] = value.T if path[-1] == "kernel" else value
    return state


def _path(name: str) -> tuple[str, ...] | None:
    """Collection and path of an array of cell-gears' state; None for what its forward pass never reads."""
    module, *rest = name.split(".")
    if rest[-1:] == ["num_batches_tracked"] or module in ("pert_w", "bn_pert_base_trans"):
        return None
    layers: tuple[str, ...] = (module,)
    if module in _MLPS:
        layer, is_norm = divmod(int(rest[1]), 3)
        layers = (module, f"norm_{layer}", "norm") if is_norm else (module, f"linear_{layer}")
    elif module in _CONVOLUTIONS:
        layers = (f"{module}_{rest[0]}",)
    elif module not in _NORMS:
        return "params", module
    running = {"running_mean": "mean", "running_var": "var"}
    if rest[-1] in running:
        return "batch_stats", *layers, running[rest[-1]]
    linear = "linear" in layers[-1] or module in _CONVOLUTIONS
    return "params", *layers, "bias" if rest[-1] == "bias" else "kernel" if linear else "scale"


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
