"""Screens as `.h5ad` files whose rows are perturbations, which scanpy and anndata open as they are."""

import json
import tempfile
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from perturb_jax.errors import InputError
from perturb_jax.graph.knowledge_graph import KnowledgeGraph, Provenance, make_graph
from perturb_jax.screen.cell_file import open_cells
from perturb_jax.screen.moments import MOMENTS
from perturb_jax.screen.screen import Screen

KEY = "perturb_jax_screen"
"""Where in `uns` the rest stands, as JSON."""

VERSION = 1


def save_screen(screen: Screen, path: str | Path, force: bool = False) -> Path:
    """Write a screen as an `.h5ad` file, whole or not at all; returns its path.

    X and the layers "variance", "third", "fourth" are the moments, the layer "nonzero" the mask; `obs` holds
    "cell_counts", `var` the control's moments, `obsm["de_genes"]` the DE genes' columns, `varp["coexpression"]` the
    co-expression weights [target, source]; the rest stands in `uns` as JSON.

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
    graph, size = screen.coexpression, len(screen.genes)
    places = (np.asarray(graph.receivers), np.asarray(graph.senders))
    about = {
        "version": VERSION,
        "control_count": screen.control_count,
        "source": None if screen.source is None else str(screen.source),
        "settings": screen.settings,
        "coexpression": graph.provenance._asdict(),
    }
    table = anndata.AnnData(
        X=screen.mean,
        obs=pd.DataFrame({"cell_counts": screen.cell_counts}, index=pd.Index(screen.perturbations, dtype=object)),
        var=pd.DataFrame(
            {f"control_{name}": getattr(screen, f"control_{name}") for name in MOMENTS},
            index=pd.Index(screen.genes, dtype=object),
        ),
        layers={name: getattr(screen, name) for name in (*MOMENTS[1:], "nonzero")},
        obsm={"de_genes": screen.de_genes},
        varp={"coexpression": sparse.csr_matrix((np.asarray(graph.weights), places), (size, size))},
        uns={KEY: json.dumps(about, default=_plain)},
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".perturb-jax-") as staging:
            whole = Path(staging, "screen.h5ad")
            table.write_h5ad(whole)
            whole.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); choose another path") from None
    return path


def load_screen(path: str | Path) -> Screen:
    """Read a screen that `save_screen` wrote.

    Raises:
        InputError: a file that is missing, damaged or not such a screen.
    """
    path = Path(path)
    with open_cells(path) as file:
        if KEY not in file.get("uns", ()):
            raise InputError(f"{path}: not a saved screen; read cells with read_screen, which save_screen then writes")
        read = anndata.io.read_elem
        about = json.loads(read(file["uns"][KEY]))
        if about["version"] != VERSION:
            raise InputError(
                f"{path}: expected version {VERSION} of saved screens, got {about['version']}; read the cells again"
            )
        obs, var = read(file["obs"]), read(file["var"])
        genes = tuple(map(str, var.index))
        return Screen(
            perturbations=tuple(map(str, obs.index)),
            genes=genes,
            cell_counts=obs["cell_counts"].to_numpy(),
            mean=read(file["X"]),
            **{name: read(file["layers"][name]) for name in (*MOMENTS[1:], "nonzero")},
            de_genes=read(file["obsm"]["de_genes"]),
            control_count=int(about["control_count"]),
            **{f"control_{name}": var[f"control_{name}"].to_numpy() for name in MOMENTS},
            coexpression=_graph(read(file["varp"]["coexpression"]), genes, about["coexpression"]),
            source=None if about["source"] is None else Path(about["source"]),
            settings=about["settings"],
        )


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
