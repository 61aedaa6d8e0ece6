"""What every kernel promises, on the host and on a device, for genes that it knows and for others."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from jax.tree_util import Partial

import perturb_jax as pj
from perturb_jax.genes.perturbations import parse_perturbations
from perturb_jax.kernel.kernel import Kernel
from tests.design_oracles import dense_gcn_norm, scattered_graph

GENES = [f"G{i}" for i in range(9)]
PERTURBATIONS = ["G3", "G0+G5", "G8", "G1", "G2+G3+G7", "G5"]
OTHERS = ["G5+G0", "G6", "G4", "G3", "G1+G2", "G7", "G8+G0"]


class Case(NamedTuple):
    """A kernel, and features of its genes from a formula: one row per gene, so that K = F F^T before it is scaled."""

    kernel: Kernel
    features: np.ndarray
    normalize: bool = True


def graph_case(seed: int, direction: str, hops: int, weighted: bool, normalize: bool) -> Case:
    graph = scattered_graph(seed, 9, 20)
    kernel = pj.GraphKernel(graph, hops, direction, weighted, normalize)  # type: ignore[arg-type]
    return Case(kernel, np.linalg.matrix_power(dense_gcn_norm(graph, direction, weighted), hops), normalize)


def dense_case(seed: int, normalize: bool) -> Case:
    features = np.random.default_rng(seed).normal(size=(9, 5))
    features = np.hstack([features, 0.3 * np.eye(9)])
    return Case(pj.DenseKernel(GENES, features @ features.T, normalize), features, normalize)


def feature_case(seed: int) -> Case:
    table = np.random.default_rng(seed).normal(size=(9, 4)) * [1, 10, 0.1, 3] + [5, 0, 0, -2]
    standard = (table - table.mean(0)) / table.std(0)
    frame = pd.DataFrame(table, GENES, ["a", "b", "c", "d"])
    return Case(pj.FeatureKernel(frame), standard / np.linalg.norm(standard, axis=1)[:, None])


CASES: dict[str, Callable[[int], Case]] = {
    "graph": lambda seed: graph_case(seed, "in", 1, True, True),
    "graph, 2 hops out": lambda seed: graph_case(seed, "out", 2, False, True),
    "graph, both, not normalised": lambda seed: graph_case(seed, "both", 3, True, False),
    "matrix": lambda seed: dense_case(seed, True),
    "matrix, not normalised": lambda seed: dense_case(seed, False),
    "features": feature_case,
}


def expected(case: Case, a: list[str], b: list[str], genes: list[str] = GENES) -> np.ndarray:
    """The kernel by the definition; genes that are not known have a feature of their own."""
    new = [gene for gene in genes if gene not in GENES]
    by_gene = dict(zip(GENES, np.hstack([case.features, np.zeros((9, len(new)))]), strict=True))
    by_gene |= dict(zip(new, np.hstack([np.zeros((len(new), case.features.shape[1])), np.eye(len(new))]), strict=True))

    def rows(names: list[str]) -> np.ndarray:
        sums = np.array([sum(by_gene[gene] for gene in name.split("+")) for name in names])
        return sums / np.linalg.norm(sums, axis=1)[:, None] if case.normalize else sums

    return rows(a) @ rows(b).T


@jax.jit
def apply(function: Partial, values: jax.Array) -> jax.Array:
    return function(values)


def product(kernel: Kernel, a: list[str], b: list[str], values: np.ndarray) -> np.ndarray:
    """K times a vector by the function for devices, in double precision."""
    some, others = (kernel.rows(parse_perturbations(kernel.names, names).members) for names in (a, b))
    with jax.enable_x64(True):
        return np.asarray(apply(kernel.times(some, others), jnp.asarray(values)))


def check(kernel: Kernel, a: list[str], b: list[str], between: np.ndarray, among: np.ndarray) -> None:
    """All ways to ask for the kernel give the same numbers."""
    np.testing.assert_allclose(kernel.matrix(a, b), between, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(kernel.matrix(a), among, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(kernel.diagonal(a), np.diag(among), rtol=1e-11)
    values = np.random.default_rng(len(a)).normal(size=len(b))
    np.testing.assert_allclose(product(kernel, a, b, values), between @ values, rtol=1e-10, atol=1e-12)
    some, others = (kernel.rows(parse_perturbations(kernel.names, names).members) for names in (a, b))
    assert (len(some), len(others)) == (len(a), len(b))
    both = kernel.covariance(some.joined(others), some.take(np.array([2, 0])))
    wanted = np.vstack([among[:, [2, 0]], between.T[:, [2, 0]]])
    np.testing.assert_allclose(both if isinstance(both, np.ndarray) else both.toarray(), wanted, rtol=1e-11, atol=1e-13)
    weights = np.linspace(0, 2, len(b))
    gram = between * weights @ between.T
    np.testing.assert_allclose(kernel.target_gram(some, others, weights), gram, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(
        kernel.target_gram_diagonal(some, others, weights), np.diag(gram), rtol=1e-10, atol=1e-13
    )


@pytest.mark.parametrize("name", CASES)
@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_kernel_is_its_formula(name: str, seed: int) -> None:
    case = CASES[name](seed)
    check(
        case.kernel,
        PERTURBATIONS,
        OTHERS,
        expected(case, PERTURBATIONS, OTHERS),
        expected(case, PERTURBATIONS, PERTURBATIONS),
    )
    whole = case.kernel.matrix()
    np.testing.assert_allclose(whole, whole.T, rtol=0, atol=1e-14)
    assert np.linalg.eigvalsh(whole)[0] > -1e-12
    if case.normalize:
        np.testing.assert_allclose(case.kernel.diagonal(PERTURBATIONS), 1, rtol=1e-12)


@pytest.mark.parametrize("name", CASES)
@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 2**32 - 1))
def test_over_other_genes_what_is_not_known_is_independent(name: str, seed: int) -> None:
    case = CASES[name](seed)
    genes = ["N0", "G5", "G0", "N1", "G3", "G7", "G2", "N2"]
    kernel = case.kernel.over(genes)
    assert kernel.genes == tuple(genes)
    a, b = ["G5", "N0", "G0+N1", "G3", "N1+N2"], ["N1", "G2+G7", "G0", "N0+G5", "N2"]
    check(kernel, a, b, expected(case, a, b, genes), expected(case, a, a, genes))
    singles = kernel.matrix(["N0", "N1"], ["G5", "G0", "N2"])
    assert (singles == 0).all()
    again = kernel.over(GENES)
    np.testing.assert_array_equal(again.matrix(PERTURBATIONS, OTHERS), case.kernel.matrix(PERTURBATIONS, OTHERS))


@settings(deadline=None, max_examples=4)
@given(
    st.lists(st.sampled_from(sorted(CASES)), min_size=2, max_size=3),
    st.lists(st.floats(0.1, 2), min_size=3, max_size=3),
    st.integers(0, 2**32 - 1),
)
def test_a_sum_is_the_sum_of_matrices_of_unit_diagonal(names: list[str], weights: list[float], seed: int) -> None:
    cases = [CASES[name](seed + i)._replace(normalize=True) for i, name in enumerate(names)]
    kernel = pj.SumKernel([case.kernel for case in cases], weights[: len(cases)])
    parts = list(zip(cases, weights, strict=False))
    between = sum(weight * expected(case, PERTURBATIONS, OTHERS) for case, weight in parts)
    among = sum(weight * expected(case, PERTURBATIONS, PERTURBATIONS) for case, weight in parts)
    check(kernel, PERTURBATIONS, OTHERS, np.asarray(between), np.asarray(among))
    assert kernel.diagonal(PERTURBATIONS).tolist() == [sum(weights[: len(cases)])] * len(PERTURBATIONS)
    assert np.linalg.eigvalsh(kernel.matrix())[0] > -1e-12


def test_sums_of_sources_over_different_genes() -> None:
    a, b = dense_case(1, False), feature_case(2)
    left, right = a.kernel.over(GENES[:6]), b.kernel.over([*GENES[4:], "N"])
    kernel = 0.5 * left + right * 0.25
    assert isinstance(kernel, pj.SumKernel)
    assert (kernel.genes, kernel.weights) == ((*GENES, "N"), (0.5, 0.25))
    asked = ["G0", "G5+G6"]
    raw = left.over(kernel.genes)
    deviations = np.sqrt(raw.diagonal(asked))
    here = raw.matrix(asked) / deviations[:, None] / deviations
    there = right.over(kernel.genes).matrix(asked)
    np.testing.assert_allclose(kernel.matrix(asked), 0.5 * here + 0.25 * there)
    three = 2.0 * kernel + a.kernel
    assert isinstance(three, pj.SumKernel)
    assert three.weights == (1.0, 0.5, 1.0)
    assert three.labels == ("matrix 1", "features", "matrix 2")
    known = kernel.coverage(["G0", "G5", "G0+G8", "N", "??"])
    assert known.index.tolist() == ["G0", "G5", "G0+G8", "N", "??"]
    assert known["matrix"].tolist() == [True, True, True, False, False]
    smaller = kernel.over(["G5", "M", "G0"])
    np.testing.assert_allclose(smaller.matrix(["G5", "G0"]), kernel.matrix(["G5", "G0"]))
    assert smaller.matrix(["M"], ["G5", "G0"]).tolist() == [[0, 0]]
