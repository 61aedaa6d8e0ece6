"""Screens as `.h5ad` files whose rows are perturbations, which scanpy and anndata open as they are."""

import json
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from perturb_jax.graph.knowledge_graph import KnowledgeGraph, Provenance, make_graph
from perturb_jax.screen.screen import MOMENTS, Guides, Moments, Screen
from perturb_jax.support.cell_files import SCREEN_KEY, open_cell_file
from perturb_jax.support.errors import InputError
from perturb_jax.support.hdf5 import whole_hdf5

VERSION = 1
GUIDES = "guides"
"""Where in `uns` guides stand, as arrays."""


def save_screen(screen: Screen, path: str | Path, force: bool = False) -> Path:
    """Write a screen as an `.h5ad` file, whole or not at all; returns its path.

    X and the layers "variance", "third", "fourth" are the moments, the layer "nonzero" the mask; `obs` holds
    "cell_counts", `var` the control's moments, `obsm["de_genes"]` the DE genes' columns, `varp["coexpression"]` the
    co-expression weights [target, source]; `var["gene_ids"]` and `uns["guides"]` what there is of these; the rest
    stands in `uns` as JSON.

    Args:
        screen: the screen.
        path: where to write; ends with .h5ad.
        force: replace a file that exists.

    Raises:
        InputError: a path that does not end with .h5ad, exists already or cannot be written.
    """
    path = Path(path)
    if path.suffix != ".h5ad":
        raise InputError(f"{path}: expected a path that ends with .h5ad")
    if path.exists() and not force:
        raise InputError(f"{path}: exists already; choose another path or force=True")
    graph, size = screen.coexpression, len(screen.readouts)
    ends = (np.asarray(graph.receivers), np.asarray(graph.senders))
    rest = {
        "version": VERSION,
        "control_count": int(screen.control.cells),
        "source": None if screen.source is None else str(screen.source),
        "settings": screen.settings,
        "coexpression": graph.provenance._asdict(),
    }
    table = anndata.AnnData(
        X=screen.mean,
        obs=pd.DataFrame({"cell_counts": screen.cell_counts}, index=pd.Index(screen.perturbations, dtype=object)),
        var=pd.DataFrame(
            {f"control_{name}": getattr(screen.control, name) for name in MOMENTS}
            | ({"gene_ids": list(screen.gene_ids)} if screen.gene_ids else {}),
            index=pd.Index(screen.readouts, dtype=object),
        ),
        layers={name: getattr(screen.perturbed, name) for name in MOMENTS[1:]} | {"nonzero": screen.nonzero},
        obsm={"de_genes": screen.de_genes},
        varp={"coexpression": sparse.csr_matrix((np.asarray(graph.weights), ends), (size, size))},
        uns={SCREEN_KEY: json.dumps(rest, default=_plain)} | _guides(screen.guides),
    )
    with whole_hdf5(path) as (file, _):
        anndata.io.write_elem(file, "/", table)
    return path


def is_saved_screen(path: Path) -> bool:
    """Whether a file is a screen that `save_screen` wrote; not where it cannot be read."""
    try:
        with h5py.File(path) as file:
            return SCREEN_KEY in file.get("uns", ())
    except OSError:
        return False  # whoever reads the cells says what is wrong


def load_screen(path: str | Path) -> Screen:
    """Read a screen that `save_screen` wrote.

    Raises:
        InputError: a file that is missing, damaged or not such a screen; values that are NaN, infinite or all 0.
    """
    with open_cell_file(Path(path)) as file:
        if SCREEN_KEY not in file.get("uns", ()):
            raise InputError("not a saved screen; read cells with read_screen, which save_screen then writes")
        rest = _rest(file)
        read = anndata.io.read_elem
        try:
            obs, var, layers = read(file["obs"]), read(file["var"]), file["layers"]
            genes = tuple(map(str, var.index))
            screen = Screen(
                perturbations=tuple(map(str, obs.index)),
                readouts=genes,
                perturbed=Moments(
                    obs["cell_counts"].to_numpy(), read(file["X"]), *(read(layers[name]) for name in MOMENTS[1:])
                ),
                control=Moments(
                    np.array(rest["control_count"]), *(var[f"control_{name}"].to_numpy() for name in MOMENTS)
                ),
                nonzero=read(layers["nonzero"]),
                de_genes=read(file["obsm"]["de_genes"]),
                coexpression=_graph(read(file["varp"]["coexpression"]), genes, rest["coexpression"]),
                source=None if rest["source"] is None else Path(rest["source"]),
                settings=dict(rest["settings"]),
                gene_ids=tuple(map(str, var["gene_ids"])) if "gene_ids" in var else (),
                guides=None if GUIDES not in file["uns"] else _guides_of(read(file["uns"][GUIDES])),
            )
        except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise _damaged(" ".join(str(error).split())[:100]) from None
        _check(screen)
    return screen


def _guides(guides: Guides | None) -> dict[str, Any]:
    """As AnnData writes them."""
    return {} if guides is None else {GUIDES: guides._asdict() | {"names": np.array(guides.names, object)}}


def _guides_of(held: dict[str, Any]) -> Guides:
    return Guides(tuple(map(str, held["names"])), held["perturbation"], held["cells"], held["mean"])


def _rest(file: h5py.File) -> dict[str, Any]:
    """What `uns` says, of the version that is understood here."""
    try:
        rest = json.loads(anndata.io.read_elem(file["uns"][SCREEN_KEY]))
    except (ValueError, TypeError):
        raise _damaged(f"uns[{SCREEN_KEY!r}] is no JSON") from None
    if not isinstance(rest, dict) or "version" not in rest:
        raise _damaged(f"uns[{SCREEN_KEY!r}] has no version")
    if rest["version"] != VERSION:
        raise InputError(f"expected version {VERSION} of saved screens, got {rest['version']}; read the cells again")
    return rest


def _check(screen: Screen) -> None:
    """Whether it is a screen: shapes that agree, finite values that are not all 0, DE genes that are columns."""
    genes = len(screen.readouts)
    size = (len(screen), genes)
    arrays = {name: (getattr(screen.perturbed, name), size) for name in MOMENTS} | {"nonzero": (screen.nonzero, size)}
    arrays |= {f"control_{name}": (getattr(screen.control, name), size[1:]) for name in MOMENTS}
    arrays["cell_counts"] = screen.cell_counts, size[:1]
    if screen.guides is not None:
        count = len(screen.guides.names)
        arrays |= {"guides": (screen.guides.mean, (count, genes)), "guides' cells": (screen.guides.cells, (count,))}
    for name, (values, shape) in arrays.items():
        if not isinstance(values, np.ndarray) or values.shape != shape:
            raise _damaged(f"{name} is no array of the shape {shape}")
        if values.dtype.kind not in "fiub" or not np.isfinite(values).all():
            raise _damaged(f"{name} holds values that are no finite numbers")
    de = screen.de_genes
    if de.ndim != 2 or len(de) != len(screen) or de.dtype.kind not in "iu" or not ((de >= 0) & (de < genes)).all():
        raise _damaged("de_genes are no columns of genes")
    if not screen.mean.any() and not screen.control_mean.any():
        raise InputError("all means of this saved screen are 0; read the cells again, from the right layer")


def _damaged(what: str) -> InputError:
    return InputError(f"a damaged saved screen ({what}); read the cells again and save it with save_screen")


def _graph(weights: sparse.csr_matrix, genes: tuple[str, ...], about: dict[str, object]) -> KnowledgeGraph:
    edges = weights.tocoo()
    parts = {name: tuple(map(tuple, value)) if isinstance(value, list) else value for name, value in about.items()}
    return make_graph(edges.col, edges.row, edges.data, genes, provenance=Provenance(**parts))  # type: ignore[arg-type]


def _plain(value: object) -> object:
    """What JSON does not know: NumPy's numbers and arrays, paths."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise InputError(f"settings: expected plain values, got {type(value).__name__}; a screen with it cannot be saved")
