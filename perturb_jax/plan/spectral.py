"""The spectral norm as evidence: how it grows with the number of picks, for a plan and for what it is compared with."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from matplotlib.ticker import StrMethodFormatter

from perturb_jax.genes.perturbations import Perturbations
from perturb_jax.graph.degrees import candidate_degrees
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.graph.operator import gcn_norm, message_passing
from perturb_jax.graph.reach import ReachSets, reach_sets
from perturb_jax.plan.coverage import RANDOM_DRAWS, Coverage, CoverageCurves, band, covered_points, draw_coverage
from perturb_jax.plan.evidence import Comparison, Found
from perturb_jax.selection.host.spectral import InducedMatrix
from perturb_jax.selection.selection import Selection
from perturb_jax.support.figures import DEGREE, RANDOM, SELECTION, canvas

if TYPE_CHECKING:
    from perturb_jax.plan.plan import Plan

_POINTS = 12


class Spectral(Coverage):
    """The norm after each pick beside the coverage; for strategies with MaxSpec's options."""

    def found(self, picks: Perturbations, selections: tuple[Selection, ...]) -> Found:  # noqa: ARG002
        """The norm after each pick."""
        return Found(pd.DataFrame({"sigma": np.concatenate([part.values for part in selections]).round(6)}))

    def compare(self, plan: "Plan") -> Comparison:
        """The norms of random and most connected picks too."""
        asked, strategy = self.question, self.question.strategy
        norms = spectral_baselines(
            asked.graph, plan.must, plan.pool, plan.tested, len(plan.table), asked.hops, asked.direction,
            strategy.normalization == "subgraph", strategy.weighted, strategy.symmetric,
        )  # fmt: skip
        return super().compare(plan)._replace(own=norms)

    def record(self, plan: "Plan") -> dict[str, Any]:
        """The norms in the end."""
        norms: SpectralCurves = plan.comparison.own
        sigma = {
            "picks": float(plan.table["sigma"].iloc[-1]),
            "random": norms.random[:, -1].tolist(),
            "top-degree": float(norms.top_degree[-1]),
        }
        return {"sigma": sigma}

    def figure(self, plan: "Plan", title: str) -> bytes:
        """Norm and coverage."""
        sigma, graph = plan.table["sigma"].to_numpy(), self.question.graph
        curves = (plan.comparison.own, plan.comparison.coverage)
        return spectral_figure(title, sigma, covered_points(plan), *curves, graph.num_nodes, self.question.name)


@dataclass(frozen=True, eq=False)
class SpectralCurves:
    """Spectral norms after some numbers of picks.

    Attributes:
        picks: the numbers of picks.
        random: one row per draw.
        top_degree: candidates by falling out-degree.
    """

    picks: Int[np.ndarray, " points"]
    random: Float[np.ndarray, "draws points"]
    top_degree: Float[np.ndarray, " points"]


def spectral_baselines(
    graph: KnowledgeGraph,
    first: Perturbations,
    pool: Perturbations,
    tested: Perturbations,
    budget: int,
    hops: int,
    direction: Direction,
    renormalize: bool = False,
    weighted: bool = True,
    symmetric: bool = False,
) -> SpectralCurves:
    """Norms that random and top-degree picks have under the same conditions, at up to 12 numbers of picks.

    Args:
        graph: the knowledge graph.
        first: what every selection begins with, in order.
        pool: the candidates for the rest.
        tested: what counts as reached.
        budget: picks, `first` included.
        hops: as for the selection.
        direction: as for the selection.
        renormalize: with degrees within what is reached.
        weighted: as for the selection.
        symmetric: as for the selection.
    """
    operator = message_passing(graph, weighted, symmetric)
    operator = operator if renormalize else gcn_norm(operator)
    sets, before, head = (reach_sets(graph, some.members, hops, direction) for some in (pool, tested, first))
    picks = np.unique(np.linspace(len(first) or 1, budget, _POINTS).round().astype(int))

    def curve(order: Int[np.ndarray, " order"]) -> Float[np.ndarray, " points"]:
        matrix = InducedMatrix(operator, renormalize)
        matrix.extend(np.unique(np.concatenate([before.indices, head.indices])))
        norms, done = [], 0
        for end in picks - len(first):
            matrix.extend(_union(sets, order[done:end]))
            norms.append(matrix.norm)
            done = end
        return np.array(norms)

    draws = [curve(np.random.default_rng(seed).permutation(len(pool))) for seed in range(RANDOM_DRAWS)]
    by_degree = np.argsort(-candidate_degrees(graph, pool), kind="stable")
    return SpectralCurves(picks, np.stack(draws), curve(by_degree))


def _union(sets: ReachSets, rows: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " nodes"]:
    return np.unique(sets.take(rows).indices)


def spectral_figure(
    title: str,
    sigma: Float[np.ndarray, " picks"],
    covered: Int[np.ndarray, " points"],
    norms: SpectralCurves,
    curves: CoverageCurves,
    num_nodes: int,
    label: str,
) -> bytes:
    """Spectral norm and coverage against the number of picks, as a PNG.

    Args:
        title: above both panels.
        sigma: the norm after 1, 2, ... picks.
        covered: nodes covered after 0, 1, ... picks.
        norms: norms of the baselines.
        curves: coverage of the baselines.
        num_nodes: nodes of the graph, for the share on the right axis.
        label: the strategy's name in the legend.
    """
    with canvas(title, (10.0, 4.4)) as (figure, output):
        left, right = figure.subplots(1, 2)
        picks = np.arange(1, len(sigma) + 1)
        mean, low, high = band(norms.random)
        left.fill_between(norms.picks, low, high, color=RANDOM, alpha=0.25, linewidth=0)
        left.plot(picks, sigma, color=SELECTION, linewidth=2.6, label=label)
        drawn = f"random (mean and range of {len(norms.random)} draws)"
        left.plot(norms.picks, mean, color=RANDOM, linestyle=":", label=drawn)
        left.plot(norms.picks, norms.top_degree, color=DEGREE, linestyle="-.", label="most connected (out-degree)")
        left.set(title="Spectral norm", xlabel="perturbations picked", ylabel="sigma of what is reached")
        left.set(xlim=(0, len(sigma)), ylim=(0, None))
        draw_coverage(right, covered, np.full(len(sigma), np.nan), curves, num_nodes, label, "")
        for axes in (left, right):
            axes.xaxis.get_major_locator().set_params(integer=True)
        right.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return output.getvalue()
