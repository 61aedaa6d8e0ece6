"""How a screen is to be read, said once: settings, texts, and what they lead to."""

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

import perturb_jax as pj
from perturb_jax.screen.pseudobulk import read_pseudobulk
from perturb_jax.screen.read import read_screen
from perturb_jax.screen.reading import Reading, open_screen
from perturb_jax.screen.store import save_screen
from perturb_jax.support.options import made_from, read_texts
from tests.screen_oracles import assert_same_screen, random_cells, write_cells


def test_a_source_is_read_as_what_it_is(tmp_path: Path) -> None:
    values, conditions = random_cells()
    path = write_cells(tmp_path / "cells.h5ad", values, conditions, batch=["x", "y"] * 30)
    whole = read_screen(path)
    assert_same_screen(open_screen(path), whole)
    assert_same_screen(open_screen(str(path), Reading(where={"batch": "x"})), read_screen(path, {"batch": "x"}))
    assert_same_screen(open_screen(anndata.read_h5ad(path)), whole)
    assert_same_screen(open_screen(save_screen(whole, tmp_path / "screen.h5ad")), whole)
    means = pd.DataFrame({"A": [1.0, 0.5], "B": [2.0, 2.5]}, index=["ctrl", "A+ctrl"])
    means.to_csv(tmp_path / "means.csv")
    expected = read_pseudobulk(tmp_path / "means.csv")
    assert_same_screen(open_screen(tmp_path / "means.csv", Reading(pseudobulk=True)), expected)
    table = anndata.AnnData(means.to_numpy(), means[[]], pd.DataFrame(index=means.columns))
    np.testing.assert_array_equal(open_screen(table, Reading(pseudobulk=True)).mean, expected.mean)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"cell_counts": "n"}, "cell_counts: cells are counted as they are read; omit it, or add pseudobulk=True"),
        ({"pseudobulk": True, "cell_type": "t"}, r"cell_type: .* choose its rows with where=\.\.\."),
        ({"pseudobulk": True, "too_few": "drop"}, "a pseudobulk has no cells"),
        ({"condition": "nowhere"}, "condition: no column 'nowhere'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, how: dict[str, Any], message: str) -> None:
    path = write_cells(tmp_path / "cells.h5ad", *random_cells())
    with pytest.raises(pj.InputError, match=message):
        open_screen(path, Reading(**how))


def test_a_saved_screen_is_used_as_it_is_and_means_are_to_be_called_so(tmp_path: Path) -> None:
    path = save_screen(read_screen(write_cells(tmp_path / "cells.h5ad", *random_cells())), tmp_path / "screen.h5ad")
    with pytest.raises(pj.InputError, match="a saved screen is used as it is; omit layer, normalize, which say how"):
        open_screen(path, Reading(layer="counts", normalize=True))
    with pytest.raises(pj.InputError, match=r"means\.csv: expected cells .* if these are means, add pseudobulk=True"):
        open_screen(tmp_path / "means.csv")


def test_tables_and_texts_say_the_same() -> None:
    where = ["batch=x", "note=a=b"]
    read = Reading(**read_texts(Reading, {"where": where, "control": "NT", "normalize": "true"}))
    table = {"where": {"batch": "x", "note": "a=b"}, "control": "NT", "normalize": True}
    assert read == made_from(Reading, table) == Reading(where=table["where"], control="NT", normalize=True)  # type: ignore[arg-type]
    assert made_from(Reading, {"control": ["NT", "safe"]}).control == ("NT", "safe")
    for texts, message in (
        (["batch"], "where: expected COLUMN=VALUE, got 'batch'"),
        (["batch=x", "batch=y"], "where: batch is given twice; give each COLUMN one VALUE"),
    ):
        with pytest.raises(pj.InputError, match=message):
            read_texts(Reading, {"where": texts})
    wrong = "where: expected a table of values by column, or none, got 3; too_few: expected one"
    with pytest.raises(pj.InputError, match=wrong):
        made_from(Reading, {"where": 3, "too_few": "keep"})
