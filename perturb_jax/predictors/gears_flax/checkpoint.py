"""An interrupted training as a file: msgpack, read without pickle, written whole."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import flax.serialization
import jax
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
