"""Fitted predictors as files: JSON for what they are made of, NumPy arrays for the numbers, no pickle.

A fitted predictor is a tree of frozen dataclasses, named tuples, functions of this package with some arguments given,
and plain values; its leaves are arrays. Names are resolved within this package alone, so that a file can make nothing
but what this package's predictors are made of.
"""

import inspect
import io
import json
import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import numpy as np
import scipy.sparse as sp

from perturb_jax.kernel.kernel import Kernel
from perturb_jax.support.errors import InputError

FORMAT = 1
_TREE = "tree"
_ROOMS = ("perturb_jax.predictors.", "perturb_jax.kernel.", "perturb_jax.graph.", "perturb_jax.genes.")
_OTHERS = {"jraph._src.graph:GraphsTuple"}
_MADE_OF = {
    "perturb_jax.genes.symbols:GeneNames": ("genes", "aliases", "where"),
    "perturb_jax.predictors.gears_flax.predictor:FittedGearsFlax": ("config", "graph", "model", "graphs", "trained"),
}
"""Classes that are no dataclasses: what they are made of, which is also what they hold."""


def save_fitted(fitted: Any, path: str | Path) -> None:
    """Store a fitted predictor as one `.npz` file; `load_fitted` reads it.

    Raises:
        InputError: a predictor that holds what cannot be stored, such as one of a user's own file.
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        tree = _encoded(fitted, arrays)
    except TypeError as error:
        raise InputError(f"{path}: this fitted predictor cannot be stored ({error}); keep its parameters()") from None
    text = json.dumps({"format": FORMAT, _TREE: tree}, ensure_ascii=False)
    buffer = io.BytesIO()
    whole_tree: dict[str, Any] = {**arrays, _TREE: np.frombuffer(text.encode(), np.uint8)}
    np.savez_compressed(buffer, **whole_tree)
    whole = Path(path)
    aside = whole.with_name(f".{whole.name}.{os.getpid()}")
    try:
        aside.write_bytes(buffer.getvalue())
        aside.replace(whole)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another file") from None


def load_fitted(path: str | Path) -> Any:
    """A fitted predictor that `Fitted.save` stored.

    Raises:
        InputError: a file that cannot be read, or is none of these.

    Examples:
        >>> import tempfile, perturb_jax as pj
        >>> genes = ["TP53", "MDM2", "GATA1", "MYC", "KLF1", "SPI1"]
        >>> graph = pj.load_go_graph(genes)
        >>> fitted = pj.GraphGP().fit(pj.simulate_screen(graph, genes, 6, 50), graph, genes[:4], [], 0)
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     fitted.save(f"{directory}/gp.npz")
        ...     again = load_fitted(f"{directory}/gp.npz")
        >>> bool((again.effects(["KLF1"]) == fitted.effects(["KLF1"])).all())
        True
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        stored = json.loads(arrays.pop(_TREE).tobytes().decode())
        if stored["format"] != FORMAT:
            raise ValueError(f"format {stored['format']}, expected {FORMAT}")
        return _decoded(stored[_TREE], arrays)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise InputError(f"{path}: expected a fitted predictor as Fitted.save writes it ({error})") from None


def _encoded(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """A value as JSON has it; arrays are put aside, and named in their place."""
    if value is None or isinstance(value, bool | str) or type(value) in (int, float):
        return value
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return _encoded(value.item(), arrays)
    if isinstance(value, np.ndarray | jax.Array):
        array = np.asarray(value)
        if array.dtype == object:
            raise TypeError("an array of objects")
        name = f"a{len(arrays)}"
        arrays[name] = array
        return {"array": name} | ({"device": True} if isinstance(value, jax.Array) else {})
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, frozenset):
        return {"set": [_encoded(one, arrays) for one in sorted(value)]}
    if isinstance(value, partial):
        given = _encoded(dict(value.keywords), arrays)
        return {"partial": _name(value.func), "args": [_encoded(one, arrays) for one in value.args], "given": given}
    if inspect.isfunction(value):
        return {"function": _name(value)}
    if inspect.ismethod(value):
        return {"method": value.__func__.__name__, "of": _encoded(value.__self__, arrays)}
    if isinstance(value, Mapping):
        return {"table": [[_encoded(key, arrays), _encoded(one, arrays)] for key, one in value.items()]}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        parts = {name: _encoded(getattr(value, name), arrays) for name in value._fields}
        return {"class": _name(type(value)), "fields": parts}
    if isinstance(value, tuple | list):
        return {type(value).__name__: [_encoded(one, arrays) for one in value]}
    if (made_of := _MADE_OF.get(f"{type(value).__module__}:{type(value).__qualname__}")) is not None:
        parts = {name: _encoded(getattr(value, name), arrays) for name in made_of}
        return {"class": _name(type(value)), "fields": parts}
    if isinstance(value, sp.csr_array):
        return {"csr": [_encoded(part, arrays) for part in (value.data, value.indices, value.indptr)],
                "shape": list(value.shape)}  # fmt: skip
    if is_dataclass(value) and not isinstance(value, type):
        kept = [one.name for one in fields(value) if one.init and one.name != "parent"]
        return {"class": _name(type(value)), "fields": {name: _encoded(getattr(value, name), arrays) for name in kept}}
    if isinstance(value, Kernel):
        parts = {name: _encoded(one, arrays) for name, one in value.made_of().items()}
        return {"kernel": _name(type(value)), "fields": parts, "names": _encoded(value.names, arrays)}
    raise TypeError(f"{type(value).__name__} is no plain value")


def _decoded(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if not isinstance(value, dict):
        return value
    (kind, *_) = value
    if kind == "array":
        array = arrays[value["array"]]
        return jax.numpy.asarray(array) if value.get("device") else array
    if kind == "path":
        return Path(value["path"])
    if kind == "set":
        return frozenset(_decoded(one, arrays) for one in value["set"])
    if kind == "partial":
        args = [_decoded(one, arrays) for one in value["args"]]
        return partial(_found(value["partial"], functions=True), *args, **_decoded(value["given"], arrays))
    if kind == "function":
        return _found(value["function"], functions=True)
    if kind == "method":
        name = value["method"]
        if name.startswith("__"):
            raise ValueError(f"method {name}")
        return getattr(_decoded(value["of"], arrays), name)
    if kind == "table":
        return {_decoded(key, arrays): _decoded(one, arrays) for key, one in value["table"]}
    if kind == "csr":
        return sp.csr_array(tuple(_decoded(part, arrays) for part in value["csr"]), shape=tuple(value["shape"]))
    if kind == "class":
        return _found(value["class"])(**{name: _decoded(one, arrays) for name, one in value["fields"].items()})
    if kind == "kernel":
        given = {name: _decoded(one, arrays) for name, one in value["fields"].items()}
        return _found(value["kernel"])(**given).over(_decoded(value["names"], arrays))
    if kind in ("tuple", "list"):
        decoded = [_decoded(one, arrays) for one in value[kind]]
        return tuple(decoded) if kind == "tuple" else decoded
    raise ValueError(f"{kind!r}: no such part")


def _name(thing: Any) -> str:
    name = f"{thing.__module__}:{thing.__qualname__}"
    if not _allowed(name):
        raise TypeError(f"{name} is not a part of this package")
    return name


def _allowed(name: str) -> bool:
    return name in _OTHERS or (name.startswith(_ROOMS) and "<" not in name and "." not in name.partition(":")[2])


def _found(name: str, functions: bool = False) -> Any:
    """What a name of this package means: a class of values, or a function that predicts."""
    if not _allowed(name):
        raise ValueError(f"{name} is not a part of this package's predictors")
    module, _, attribute = name.partition(":")
    thing = getattr(import_module(module), attribute)
    is_value = isinstance(thing, type) and (
        is_dataclass(thing) or issubclass(thing, Kernel) or hasattr(thing, "_fields") or name in _MADE_OF
    )
    if not (inspect.isfunction(thing) and thing.__module__ == module if functions else is_value):
        raise ValueError(f"{name} is not a part of a fitted predictor")
    return thing
