"""On what scale values are, and what is said of each."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import perturb_jax as pj
from perturb_jax.screen import matrix as screen_matrix, scale
from perturb_jax.screen.pseudobulk import read_pseudobulk
from perturb_jax.screen.read import read_screen
from perturb_jax.screen.scale import Looked, scale_of
from tests.screen_oracles import write_cells

CONDITIONS = ["ctrl", "A", "B", "A"] * 10


def counts(seed: int = 0, mean: float = 6.0, genes: int = 15) -> np.ndarray:
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.5, 2.0, (len(CONDITIONS), 1))
    return rng.poisson(mean * depth * rng.uniform(0.1, 4, genes)).astype(float)


def normalised(values: np.ndarray, total: float = 1e4) -> np.ndarray:
    return values * (total / values.sum(1, keepdims=True))


SCALES = {
    "log1p of 10,000": (np.log1p(normalised(counts())), "log1p"),
    "log1p of a million": (np.log1p(normalised(counts(), 1e6)), "log1p"),
    "log1p of some genes": (np.log1p(normalised(counts()))[:, :9], "log1p"),
    "log1p of corrected counts": (np.log1p(normalised(np.maximum(counts() - 0.37, 0))), "log1p"),
    "counts": (counts(), "counts"),
    "10,000 without a logarithm": (normalised(counts()), "normalised"),
    "few and without a logarithm": (normalised(counts(), 30.0), "normalised"),
    "a fraction of counts": (0.9 * counts(mean=1.0), "fractional counts"),
    "less ambient RNA": (np.maximum(counts() - np.linspace(0, 2, 15), 0), "fractional counts"),
    "a few fractions": (counts(mean=1.0) + 0.25 * (np.arange(15) == 3), "fractional counts"),
}


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_scales_are_distinguished(name: str, precision: type) -> None:
    values, expected = SCALES[name]
    values = values.astype(precision)
    whole = bool((values == np.floor(values)).all())
    assert scale_of(Looked(whole, float(values.max()), sparse.csr_array(values))) == expected


@pytest.mark.parametrize("chunk", [40, 1 << 22])
@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
@pytest.mark.parametrize("name", SCALES)
def test_each_scale_gets_its_advice(
    tmp_path: Path, name: str, layout: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen_matrix, "CHUNK", chunk)
    values, kind = SCALES[name]
    path = write_cells(tmp_path / "cells.h5ad", values, CONDITIONS, layout)
    advice = {
        "counts": "whole numbers .* raw counts.*normalize=True",
        "normalised": "totals are all .* scaled but not logged.*normalize=True",
        "fractional counts": r"raw counts with fractions \(as SoupX.*normalize=True",
    }
    if kind == "log1p":
        read_screen(path)
        with pytest.raises(
            pj.InputError, match=r"normalize=True expects raw counts .* omit it if they are log1p already"
        ):
            read_screen(path, normalize=True)
        return
    with pytest.raises(pj.InputError, match=advice[kind]):
        read_screen(path)
    screen = read_screen(path, normalize=True)
    assert screen.settings["scale"] == kind
    expected = np.log1p(normalised(values))[np.array(CONDITIONS) == "A"].mean(0)
    np.testing.assert_allclose(screen.mean[0], expected, rtol=1e-6)


def test_a_large_value_after_the_sample_is_seen_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "SAMPLE", 5)
    monkeypatch.setattr("perturb_jax.screen.read.SAMPLE", 5)
    monkeypatch.setattr(screen_matrix, "CHUNK", 40)
    values = np.log1p(normalised(counts()))
    values[35, 2] = 4000.5
    for layout in ("csr", "csc", "dense"):
        with pytest.raises(pj.InputError, match="the values reach 4000"):
            read_screen(write_cells(tmp_path / f"{layout}.h5ad", values, CONDITIONS, layout))


def test_what_else_is_in_the_file_is_named(tmp_path: Path) -> None:
    logged = np.log1p(normalised(counts()))
    obs = pd.DataFrame({"condition": CONDITIONS}, index=[f"c{i}" for i in range(40)])
    cells = anndata.AnnData(logged, obs, layers={"counts": counts()})
    cells.raw = cells.copy()
    cells.X = (logged - logged.mean(0)) / logged.std(0)
    with pytest.raises(pj.InputError, match=r"got -.* layer=\.\.\. \(there are: layer counts, raw, with raw=True\)$"):
        read_screen(cells)
    with pytest.raises(pj.InputError, match=r"whole numbers .*\(there are: X, raw, with raw=True\)$"):
        read_screen(cells, layer="counts")
    alone = anndata.AnnData(cells.X, obs)
    with pytest.raises(pj.InputError, match=r"\(there is no other here\)$"):
        read_screen(alone)


def test_raw_is_read_with_its_own_genes(tmp_path: Path) -> None:
    logged = np.log1p(normalised(counts()))
    obs = pd.DataFrame({"condition": CONDITIONS}, index=[f"c{i}" for i in range(40)])
    cells = anndata.AnnData(sparse.csr_matrix(logged), obs, pd.DataFrame(index=[f"G{i}" for i in range(15)]))
    whole = read_screen(cells)
    cells.raw = cells.copy()
    cells = cells[:, [0, 3, 5]].copy()
    cells.X = -cells.X.toarray()
    cells.write_h5ad(tmp_path / "cells.h5ad")
    for source in (cells, tmp_path / "cells.h5ad", anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")):
        for how in ({"raw": True}, {"layer": "raw"}):
            screen = read_screen(source, **how)
            assert screen.readouts == whole.readouts
            np.testing.assert_array_equal(screen.mean, whole.mean)
    with pytest.raises(pj.InputError, match="both raw and layer say where the values are"):
        read_screen(cells, raw=True, layer="counts")
    with pytest.raises(pj.InputError, match=r"no matrix layers/nowhere; .*\(layers: none and raw, with raw=True\)"):
        read_screen(cells, layer="nowhere")
    read = pj.read_cells(read_screen(tmp_path / "cells.h5ad", raw=True), ["A"])
    assert read.expression.shape[1] == 15


def test_means_are_checked_as_cells_are() -> None:
    means = pd.DataFrame(counts().reshape(8, -1, 15).mean(1), index=["ctrl", *"ABCDEFG"])
    means.columns = [f"G{i}" for i in range(15)]
    with pytest.raises(pj.InputError, match=r"raw counts with fractions"):
        read_pseudobulk(means)
    with pytest.raises(pj.InputError, match=r"scaled but not logged"):
        read_pseudobulk(pd.DataFrame(normalised(means.to_numpy()), means.index, means.columns))
    read_pseudobulk(pd.DataFrame(np.log1p(normalised(means.to_numpy())), means.index, means.columns))
    assert read_pseudobulk(means, normalize=True).perturbations == tuple("ABCDEFG")
    with pytest.raises(pj.InputError, match=r"columns called like controls \(ctrl\); if genes are in rows, turn"):
        read_pseudobulk(means.T)
