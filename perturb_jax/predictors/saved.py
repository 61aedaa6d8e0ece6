"""Fitted predictors as files: JSON for what they are made of, NumPy arrays for the numbers, no pickle.

A fitted predictor is a tree of frozen dataclasses, named tuples, functions of this package with some arguments given,
and plain values; its leaves are arrays. Names are resolved within this package alone, so that a file can make nothing
but what this package's predictors are made of.
"""

import inspect
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import jax
import numpy as np
import scipy.sparse as sp

from perturb_jax.kernel.kernel import Kernel
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import whole_file

FORMAT = 2
_TREE = "tree"
_REMEDY = "keep its parameters(); or, of a kernel of one's own, use pj.DenseKernel(kernel.genes, kernel.matrix())"
_ROOMS = ("perturb_jax.predictors.", "perturb_jax.kernel.", "perturb_jax.graph.", "perturb_jax.genes.")
_OTHERS = {"jraph._src.graph:GraphsTuple"}
_MADE_OF = {
    "perturb_jax.genes.symbols:GeneNames": ("genes", "aliases", "where"),
    "perturb_jax.predictors.gears_flax.predictor:FittedGearsFlax": ("config", "graph", "model", "graphs", "trained"),
}
"""Classes that are no dataclasses: what they are made of, which is also what they hold."""


def save_fitted(fitted: Any, path: str | Path) -> None:
    """Store a fitted predictor as one `.npz` file, unless it holds what cannot be, such as one of a user's own file."""
    arrays: dict[str, Any] = {}
    try:
        tree = _encoded(fitted, arrays)
    except TypeError as error:
        raise InputError(f"{path}: this fitted predictor cannot be stored ({error}); {_REMEDY}") from None
    text = json.dumps({"format": FORMAT, _TREE: tree}, ensure_ascii=False).encode(errors="backslashreplace")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{**arrays, _TREE: np.frombuffer(text, np.uint8)})
    with whole_file(Path(path)) as whole:
        whole.write_bytes(buffer.getvalue())


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
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        stored = json.loads(arrays.pop(_TREE).tobytes().decode())
        if stored["format"] != FORMAT:
            raise ValueError(f"format {stored['format']}, expected {FORMAT}")
        return _decoded(stored[_TREE], arrays)
    except (OSError, EOFError, BadZipFile, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise InputError(f"{path}: expected a fitted predictor as Fitted.save writes it ({error})") from None


def _encoded(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """A value as JSON has it; arrays are put aside, under names that stand for them."""
    if value is None or isinstance(value, bool | str) or type(value) in (int, float):
        return value
    if type(value) in (tuple, list):
        return {type(value).__name__: _each(value, arrays)}
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return value.item()
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
        return {"set": _each(sorted(value), arrays)}
    if isinstance(value, partial):
        given = _encoded(dict(value.keywords), arrays)
        return {"partial": _name(value.func), "args": _each(value.args, arrays), "given": given}
    if isinstance(value, Mapping) and _is_names(tuple(value)) and all(map(_is_names, value.values())):
        return {"names": dict(value)}  # aliases of genes: 50,000
    if isinstance(value, Mapping):
        return {"table": [_each(pair, arrays) for pair in value.items()]}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {"class": _name(type(value)), "fields": _parts(value, value._fields, arrays)}
    if (made_of := _MADE_OF.get(f"{type(value).__module__}:{type(value).__qualname__}")) is not None:
        return {"class": _name(type(value)), "fields": _parts(value, made_of, arrays)}
    if isinstance(value, sp.csr_array):
        return {"csr": _each((value.data, value.indices, value.indptr), arrays), "shape": list(value.shape)}
    if is_dataclass(value) and not isinstance(value, type):
        kept = [one.name for one in fields(value) if one.init and one.name != "parent"]
        return {"class": _name(type(value)), "fields": _parts(value, kept, arrays)}
    if isinstance(value, Kernel):
        held = [name for name in vars(value) if not isinstance(getattr(type(value), name, None), cached_property)]
        return {"kernel": _name(type(value)), "holds": _parts(value, held, arrays)}
    raise TypeError(f"{type(value).__name__} is no plain value")


def _is_names(value: Any) -> bool:
    return type(value) is tuple and all(type(one) is str for one in value)


def _each(values: Iterable[Any], arrays: dict[str, np.ndarray]) -> list[Any]:
    return [_encoded(one, arrays) for one in values]


def _parts(value: Any, names: Iterable[str], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: _encoded(getattr(value, name), arrays) for name in names}


def _decoded(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_decoded(one, arrays) for one in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"array": name}:
            return jax.numpy.asarray(arrays[name]) if value.get("device") else arrays[name]
        case {"path": path}:
            return Path(path)
        case {"set": values}:
            return frozenset(_decoded(values, arrays))
        case {"partial": name, "args": args, "given": given}:
            return partial(_found(name, functions=True), *_decoded(args, arrays), **_decoded(given, arrays))
        case {"names": table}:
            return {name: tuple(names) for name, names in table.items()}
        case {"table": pairs}:
            return dict(_decoded(pairs, arrays))
        case {"csr": stored, "shape": shape}:
            return sp.csr_array(tuple(_decoded(stored, arrays)), shape=tuple(shape))
        case {"class": name, "fields": stored}:
            return _found(name)(**_decoded_parts(stored, arrays))
        case {"kernel": name, "holds": stored}:
            kernel = object.__new__(_found(name))
            kernel.__dict__.update(_decoded_parts(stored, arrays))
            return kernel
        case {"tuple": values}:
            return tuple(_decoded(values, arrays))
        case {"list": values}:
            return _decoded(values, arrays)
    raise ValueError(f"{next(iter(value), None)!r}: no such part")


def _decoded_parts(stored: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {name: _decoded(one, arrays) for name, one in stored.items()}


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
