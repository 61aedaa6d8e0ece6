"""Screens as `.h5ad` files whose rows are perturbations, which scanpy and anndata open as they are."""

import json
import tempfile
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from perturb_jax.graph.knowledge_graph import KnowledgeGraph, Provenance, make_graph
from perturb_jax.screen.cell_table import open_h5ad
from perturb_jax.screen.moments import MOMENTS
from perturb_jax.screen.screen import Screen
from perturb_jax.support.errors import InputError

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
    graph, size = screen.coexpression, len(screen.readouts)
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
            index=pd.Index(screen.readouts, dtype=object),
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


def is_saved_screen(path: Path) -> bool:
    """Whether a file is a screen that `save_screen` wrote; not where it cannot be read."""
    try:
        with h5py.File(path) as file:
            return KEY in file.get("uns", ())
    except OSError:
        return False  # whoever reads the cells says what is wrong


def load_screen(path: str | Path) -> Screen:
    """Read a screen that `save_screen` wrote.

    Raises:
        InputError: a file that is missing, damaged or not such a screen; values that are NaN, infinite or all 0.
    """
    path = Path(path)
    with open_h5ad(path) as file:
        if KEY not in file.get("uns", ()):
            raise InputError(f"{path}: not a saved screen; read cells with read_screen, which save_screen then writes")
        about = _about(path, file)
        try:
            screen = _screen(file, about)
        except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise _damaged(path, " ".join(str(error).split())[:100]) from None
    _check(screen, path)
    return screen


def _about(path: Path, file: h5py.File) -> dict[str, Any]:
    """What `uns` says, of the version that is understood here."""
    try:
        about = json.loads(anndata.io.read_elem(file["uns"][KEY]))
    except (ValueError, TypeError):
        raise _damaged(path, f"uns[{KEY!r}] is no JSON") from None
    if not isinstance(about, dict) or "version" not in about:
        raise _damaged(path, f"uns[{KEY!r}] has no version")
    if about["version"] != VERSION:
        raise InputError(
            f"{path}: expected version {VERSION} of saved screens, got {about['version']}; read the cells again"
        )
    return about


def _screen(file: h5py.File, about: dict[str, Any]) -> Screen:
    read = anndata.io.read_elem
    obs, var = read(file["obs"]), read(file["var"])
    genes = tuple(map(str, var.index))
    return Screen(
        perturbations=tuple(map(str, obs.index)),
        readouts=genes,
        cell_counts=obs["cell_counts"].to_numpy(),
        mean=read(file["X"]),
        **{name: read(file["layers"][name]) for name in (*MOMENTS[1:], "nonzero")},
        de_genes=read(file["obsm"]["de_genes"]),
        control_count=int(about["control_count"]),
        **{f"control_{name}": var[f"control_{name}"].to_numpy() for name in MOMENTS},
        coexpression=_graph(read(file["varp"]["coexpression"]), genes, about["coexpression"]),
        source=None if about["source"] is None else Path(about["source"]),
        settings=dict(about["settings"]),
    )


def _check(screen: Screen, path: Path) -> None:
    """Whether it is a screen: shapes that agree, finite values that are not all 0, DE genes that are columns."""
    size, genes = (len(screen), len(screen.readouts)), len(screen.readouts)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys((*MOMENTS, "nonzero"), size)
    shapes |= dict.fromkeys((f"control_{name}" for name in MOMENTS), size[1:])
    shapes["cell_counts"] = size[:1]
    for name, shape in shapes.items():
        values = getattr(screen, name)
        if not isinstance(values, np.ndarray) or values.shape != shape:
            raise _damaged(path, f"{name} is no array of the shape {shape}")
        if values.dtype.kind not in "fiub" or not np.isfinite(values).all():
            raise _damaged(path, f"{name} holds values that are no finite numbers")
    de = screen.de_genes
    if de.ndim != 2 or len(de) != len(screen) or de.dtype.kind not in "iu" or not ((de >= 0) & (de < genes)).all():
        raise _damaged(path, "de_genes are no columns of genes")
    if not screen.mean.any() and not screen.control_mean.any():
        raise InputError(f"{path}: all means of this saved screen are 0; read the cells again, from the right layer")


def _damaged(path: Path, what: str) -> InputError:
    return InputError(f"{path}: a damaged saved screen ({what}); read the cells again and save it with save_screen")


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
