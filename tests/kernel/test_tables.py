"""What tables and sums of kernels refuse, and what they say of themselves."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import perturb_jax as pj
from perturb_jax.genes.symbols import GeneNames
from perturb_jax.kernel.kernel import positions, union

TABLE = pd.DataFrame({"x": [1.0, 2.0, 6.0, 3.0], "y": [0.0, 1.0, 5.0, -2.0]}, index=["A", "B", "C", "D"])


def test_a_csv_file_is_the_table(tmp_path: Path) -> None:
    TABLE.to_csv(tmp_path / "table.csv")
    kernel = pj.FeatureKernel(tmp_path / "table.csv")
    np.testing.assert_allclose(kernel.matrix(), pj.FeatureKernel(TABLE).matrix())
    assert kernel.description() == {
        "kernel": "features", "source": str(tmp_path / "table.csv"), "genes": 4, "features": 2
    }  # fmt: skip
    with pytest.raises(pj.InputError, match=r"none\.csv: cannot be read as a CSV file"):
        pj.FeatureKernel(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (TABLE.assign(x=[1, np.nan, 2, 3]), "expected finite numbers, got others for B"),
        (TABLE.assign(x=["1", "two", "3", "4"]), "expected finite numbers, got others for B"),
        (TABLE.assign(z=2.0, x=[np.inf, 1, 2, 3]), "got others for A; .*; the same for all genes: z"),
        (TABLE.set_axis(["x", "x"], axis=1), "there twice: x; give each feature once"),
        (TABLE.set_axis(["A", "B", "A", "D"]), "given more than once: A"),
        (TABLE.set_axis(["A", " ", "C", "D"]), "blank"),
        (TABLE.iloc[:1], "expected at least 2 genes and 1 feature, got 1 and 2"),
        (TABLE.iloc[:, :0], "expected at least 2 genes and 1 feature, got 4 and 0"),
        (pd.DataFrame({"x": [1.0, 2.0, 3.0]}, index=["A", "B", "C"]), "nothing differs from the mean for B"),
    ],
)
def test_tables_of_features_that_cannot_be_used(table: pd.DataFrame, message: str) -> None:
    with pytest.raises(pj.InputError, match=message):
        pj.FeatureKernel(table)


def test_features_that_cancel_are_refused() -> None:
    kernel = pj.FeatureKernel(pd.DataFrame({"x": [1.0, -1.0, 3.0, -3.0]}, index=["A", "B", "C", "D"]))
    with pytest.raises(pj.InputError, match=r"A\+B: features that cancel"):
        kernel.matrix(["A+B"])


@pytest.mark.parametrize(
    ("genes", "matrix", "message"),
    [
        (["A", "B"], [[1.0]], r"expected 2 rows and columns, one per gene, got shape \(1, 1\)"),
        (["A", "B"], None, "expected one beside the genes, got none"),
        (["A", "A"], np.eye(2), "given more than once: A"),
        (["A", "B"], [[1, np.nan], [np.nan, 1]], "expected finite numbers, got others for A"),
        (["A", "B"], [[1, 0], [0, 0]], "expected variances above 0 on the diagonal, got 0 for B"),
        (["A", "B"], [[1, 0.5], [0.2, 1]], "expected a symmetric one"),
        (["A", "B"], [[1, 2], [2, 1]], "expected no negative eigenvalue, got -1"),
        (pd.DataFrame(np.eye(2), ["A", "B"], ["B", "A"]), None, "the same genes, in the same order"),
    ],
)
def test_matrices_that_cannot_be_used(genes: Any, matrix: Any, message: str) -> None:
    with pytest.raises(pj.InputError, match=message):
        pj.DenseKernel(genes, matrix)


def test_a_square_table_is_a_matrix_with_its_genes() -> None:
    table = pd.DataFrame([[4.0, 1.0], [1.0, 1.0]], ["A", "B"], ["A", "B"])
    assert pj.DenseKernel(table).matrix().tolist() == [[1, 0.5], [0.5, 1]]
    assert pj.DenseKernel(table, normalize=False).matrix().tolist() == table.to_numpy().tolist()


def test_weights_that_cannot_be_used() -> None:
    kernel = pj.FeatureKernel(TABLE)
    for kernels, weights, message in (
        ([], [], "kernels: expected at least one"),
        ([kernel], [1.0, 2.0], "weights: expected one per kernel, 1, got 2"),
        ([kernel], [-1.0], "weights: expected finite numbers of at least 0, got -1.0"),
        ([kernel, kernel], [0, 0], "weights: expected one above 0"),
    ):
        with pytest.raises(pj.InputError, match=message):
            pj.SumKernel(kernels, weights)
    assert "weight" in repr(0.5 * kernel + kernel)


def test_old_symbols_mean_the_same_gene_in_every_source() -> None:
    current = GeneNames(["G1", "G2"], {"OLD1": ("G1",), "MANY": ("G1", "G2")})
    other = GeneNames(["OLD1", "MANY", "G2"])
    assert union([current, other]).genes == ("G1", "G2", "MANY")
    assert union([other, current]).genes == ("OLD1", "MANY", "G2")
    assert positions(current, other).tolist() == [0, -1, 1]
    assert positions(other, current).tolist() == [0, 2]
    both = GeneNames(["G1", "OLD1"])
    assert positions(current, both).tolist() == [0, -1]
