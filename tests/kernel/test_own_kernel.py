"""A kernel of one's own, made outside the package: it designs, sums and learns as those that ship here."""

from collections.abc import Iterable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

import perturb_jax as pj
from perturb_jax.genes.symbols import GeneNames
from perturb_jax.kernel.kernel import Block, Rows

GENES = ("A1", "A2", "A3", "B1", "B2", "C1")


class Families(pj.Kernel):
    """Genes that begin with one letter have effects that correlate by 0.8, others none; single genes only."""

    def __init__(self, genes: Iterable[str]):
        self.names = GeneNames(tuple(genes), where="the families")

    def rows(self, members: np.ndarray) -> Rows:
        return Rows(members, np.ones(len(members)), np.ones(len(members)))

    def between(self, some: Rows, others: Rows) -> Iterator[tuple[slice, Block]]:
        yield slice(0, len(some)), self._block(some, others)

    def times(self, some: Rows, others: Rows) -> Partial:
        return Partial(jnp.matmul, jnp.asarray(self._block(some, others), float))

    def over(self, genes: GeneNames | Iterable[str]) -> "Families":
        return Families(genes.genes if isinstance(genes, GeneNames) else genes)

    def description(self) -> dict[str, Any]:
        return {"kernel": "families"}

    def _block(self, some: Rows, others: Rows) -> np.ndarray:
        family = np.array([gene[0] for gene in self.genes])
        one, other = some.members[:, 0], others.members[:, 0]
        return np.where(one[:, None] == other, 1.0, 0.8 * (family[one][:, None] == family[other]))


def test_it_designs_as_its_matrix_does() -> None:
    kernel = Families(GENES)
    given = pj.DenseKernel(GENES, kernel.matrix())
    for criterion in ("variance", "information", "facility"):
        picks = pj.graphdesign(kernel, None, 3, criterion=criterion)
        assert picks.genes == pj.graphdesign(given, None, 3, criterion=criterion).genes
        assert picks.genes == (("A1", "B1", "A2") if criterion == "variance" else ("A1", "B1", "C1"))


def test_it_is_summed_and_learnt_with() -> None:
    kernel = Families(GENES)
    both = 0.25 * kernel + 0.75 * pj.DenseKernel(GENES, np.eye(6))
    np.testing.assert_allclose(both.matrix(["A1"], ["A1", "A2", "B1"]), [[1.0, 0.2, 0.0]])
    graph = pj.load_go_graph(["TP53", "MDM2", "MYC", "JUN", "FOS", "ATF4", "XBP1", "STAT1"])
    screen = pj.simulate_screen(graph, 8, 8, 10, seed=0)
    fitted = pj.GraphGP(kernel=Families(graph.genes)).fit(screen, graph, screen.perturbations[:5], (), 0)
    effects = fitted.effects(screen.perturbations)
    assert effects.shape == (8, 8) and np.isfinite(effects).all()
