"""Coverage as evidence: how it grows with the number of picks, for a plan and for what it has to beat."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from perturb_jax.genes.perturbations import Perturbations
from perturb_jax.graph.degrees import candidate_degrees
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.graph.reach import reach_sets
from perturb_jax.plan.evidence import Comparison, Found, Question
from perturb_jax.selection.coverage import covered_after
from perturb_jax.selection.selection import Selection
from perturb_jax.support.figures import BOUND, DEGREE, RANDOM, SELECTION, canvas

if TYPE_CHECKING:
    from perturb_jax.plan.plan import Plan

RANDOM_DRAWS = 20
"""Draws of the random baseline, with seeds 0, 1, ..."""


class Coverage:
    """What a plan has whatever its strategy; other kinds of evidence derive from it and add theirs.

    Args:
        question: what the plan is made for.

    Attributes:
        files: names of tables that are written besides the picks, with the attribute of the plan that each is.
        heading: above the picture, on the page.
        note: below the table of picks, on the page: HTML.
        recorded_elsewhere: options that the record of the settings leaves to its other parts.
    """

    files: ClassVar[dict[str, str]] = {}
    heading: ClassVar[str] = "Coverage"
    note: ClassVar[str] = ""
    recorded_elsewhere: ClassVar[tuple[str, ...]] = ()

    def __init__(self, question: Question):
        self.question = question

    @property
    def named(self) -> tuple[Any, ...]:
        """Further names that were given, each with `renamed` and `dropped`."""
        return ()

    def cost(self, some: Perturbations) -> int | float:
        """What some perturbations use of the budget."""
        return len(some)

    def buys_more(self, left: int | float) -> bool:
        """Whether what is left of the budget is enough for a candidate."""
        return left > 0

    def asked(self, first: bool) -> Any:  # noqa: ARG002  (for kinds that ask otherwise for the must-haves)
        """The strategy to ask for the order of the must-haves, and then for the rest."""
        return self.question.strategy

    def found(self, picks: Perturbations, selections: tuple[Selection, ...]) -> Found:  # noqa: ARG002
        """What it says of the picks, beside their coverage."""
        return Found(pd.DataFrame(index=range(len(picks))))

    def compare(self, plan: "Plan") -> Comparison:
        """What the picks are compared with."""
        asked = self.question
        conditions = (asked.graph, plan.must, plan.pool, plan.tested, len(plan.table), asked.hops, asked.direction)
        return Comparison(baseline_curves(*conditions))

    def curve(self, plan: "Plan") -> pd.DataFrame:
        """The curves as a table: a row per number of picks."""
        curves = plan.comparison.coverage
        mean, low, high = band(curves.random)
        return pd.DataFrame(
            {
                "picks": np.arange(len(curves.top_degree)),
                "covered": covered_points(plan),
                "random": mean,
                "random_least": low,
                "random_most": high,
                "top_degree": curves.top_degree,
            }
        )

    def settings(self) -> dict[str, Any]:
        """Its part of the record's settings: plain values."""
        return {}

    def record(self, plan: "Plan") -> dict[str, Any]:  # noqa: ARG002  (for kinds that have one)
        """Its part of the record's result: plain values."""
        return {}

    def facts(self, result: dict[str, Any]) -> list[tuple[str, str]]:  # noqa: ARG002
        """What stands at the top of the page: numbers with words."""
        return []

    def figure(self, plan: "Plan", title: str) -> bytes:
        """The picture, a PNG."""
        return coverage_figure(
            title,
            covered_points(plan),
            plan.table["gain"].to_numpy(),
            plan.table["bound"].to_numpy(dtype=float, na_value=np.nan),
            plan.table["layer"].to_numpy(),
            plan.comparison.coverage,
            self.question.graph.num_nodes,
            self.question.name,
            "no more with the must-haves" if len(plan.must) else "no selection can reach more",
        )


def covered_points(plan: "Plan") -> Int[np.ndarray, " points"]:
    """Nodes covered after 0, 1, ... picks of a plan."""
    return np.concatenate([[plan.comparison.coverage.before], plan.table["covered"]])


@dataclass(frozen=True, eq=False)
class CoverageCurves:
    """Nodes covered after 0, 1, ... picks.

    Attributes:
        before: nodes covered before the first pick.
        reachable: nodes that all candidates together, with what was covered before, would cover.
        random: one row per draw.
        top_degree: candidates by falling out-degree.
    """

    before: int
    reachable: int
    random: Int[np.ndarray, "draws points"]
    top_degree: Int[np.ndarray, " points"]


def baseline_curves(
    graph: KnowledgeGraph,
    first: Perturbations,
    pool: Perturbations,
    tested: Perturbations,
    budget: int,
    hops: int,
    direction: Direction,
) -> CoverageCurves:
    """Coverage of random and top-degree picks under the same conditions as a selection.

    Args:
        graph: the knowledge graph.
        first: what every selection begins with, in order.
        pool: the candidates for the rest.
        tested: what counts as covered.
        budget: picks, `first` included.
        hops: as for the selection.
        direction: as for the selection.

    Complexity: O(draws x entries of the picks' reach sets).
    """
    counts = reach_sets(graph, tested.members, hops, direction).counts()
    first_sets = reach_sets(graph, first.members, hops, direction)
    head = covered_after(first_sets, counts)
    covered = counts + first_sets.counts()
    sets = reach_sets(graph, pool.members, hops, direction)
    before = np.count_nonzero(counts)
    rest = budget - len(first)

    def curve(order: Int[np.ndarray, " order"]) -> Int[np.ndarray, " points"]:
        tail = covered_after(sets, covered, order[:rest])
        return np.concatenate([[before], head, tail])

    draws = [curve(np.random.default_rng(seed).permutation(len(pool))) for seed in range(RANDOM_DRAWS)]
    by_degree = np.argsort(-candidate_degrees(graph, pool), kind="stable")
    return CoverageCurves(
        before=int(before),
        reachable=int(np.count_nonzero(covered + sets.counts())),
        random=np.stack(draws),
        top_degree=curve(by_degree),
    )


def band(draws: Float[np.ndarray, "draws points"] | Int[np.ndarray, "draws points"]) -> tuple[np.ndarray, ...]:
    """Mean, least and greatest over the draws."""
    return draws.mean(0), draws.min(0), draws.max(0)


def coverage_figure(
    title: str,
    covered: Int[np.ndarray, " points"],
    gains: Int[np.ndarray, " picks"],
    bounds: np.ndarray,
    layers: Int[np.ndarray, " picks"],
    curves: CoverageCurves,
    num_nodes: int,
    label: str,
    bound_label: str = "no selection can reach more",
) -> bytes:
    """Coverage and marginal gains against the number of picks, as a PNG.

    Args:
        title: above both panels.
        covered: nodes covered after 0, 1, ... picks.
        gains: what each pick added in its cover layer.
        bounds: certificate of each pick; NaN where there is none.
        layers: cover layer of each pick.
        curves: the baselines.
        num_nodes: nodes of the graph, for the share on the right axis.
        label: the strategy's name in the legend.
        bound_label: what the certificate says, in the legend.
    """
    with canvas(title, (10.0, 4.4)) as (figure, output):
        left, right = figure.subplots(1, 2, width_ratios=[1.35, 1])
        draw_coverage(left, covered, bounds, curves, num_nodes, label, bound_label)
        _draw_gains(right, gains, curves)
        for axes in (left, right):
            _mark_layers(axes, layers)
            for axis in (axes.xaxis, axes.yaxis):
                axis.get_major_locator().set_params(integer=True)
                axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    return output.getvalue()


def draw_coverage(
    axes: Axes,
    covered: np.ndarray,
    bounds: np.ndarray,
    curves: CoverageCurves,
    num_nodes: int,
    label: str,
    bound_label: str,
) -> None:
    """The curves of coverage and, where there is one, the certificate."""
    picks = np.arange(len(covered))
    mean, low, high = band(curves.random)
    axes.fill_between(picks, low, high, color=RANDOM, alpha=0.25, linewidth=0)
    axes.plot(picks, covered, color=SELECTION, linewidth=2.6, label=label)  # below the thin lines, which stay visible
    axes.plot(picks, mean, color=RANDOM, linestyle=":", label=f"random (mean and range of {len(curves.random)} draws)")
    axes.plot(picks, curves.top_degree, color=DEGREE, linestyle="-.", label="most connected (out-degree)")
    if np.isfinite(bounds).any():
        marker = "_" if np.isfinite(bounds).sum() == 1 else ""
        axes.plot(picks[1:], bounds, color=BOUND, linestyle="--", linewidth=1, marker=marker, label=bound_label)
    axes.set(title="Genes reached", xlabel="perturbations picked", ylabel="genes of the graph", xlim=(0, picks[-1]))
    axes.set_ylim(bottom=0)
    share = axes.secondary_yaxis(
        "right", functions=(partial(np.multiply, 100 / num_nodes), partial(np.multiply, num_nodes / 100))
    )
    share.set_ylabel("per cent of the graph")


def _draw_gains(axes: Axes, gains: np.ndarray, curves: CoverageCurves) -> None:
    picks = np.arange(1, len(gains) + 1)
    edges = np.arange(len(gains) + 1) + 0.5
    axes.stairs(gains, edges, baseline=None, color=SELECTION, linewidth=2.2)
    axes.plot(picks, np.diff(curves.random.mean(0)), color=RANDOM, linestyle=":", marker="." if len(gains) == 1 else "")
    axes.set(
        title="What each pick adds", xlabel="pick", ylabel="genes newly reached in the layer", xlim=(0, len(gains) + 1)
    )
    axes.set_ylim(bottom=0)


def _mark_layers(axes: Axes, layers: np.ndarray) -> None:
    for start in np.flatnonzero(np.diff(layers)):
        axes.axvline(start + 1.5, color="#BBBBBB", linewidth=0.8, zorder=0)
        axes.annotate(
            f"layer {layers[start + 1]}", (start + 1.5, 0.02), xycoords=("data", "axes fraction"), rotation=90,
            fontsize=7, color="#777777", ha="right", va="bottom",
        )  # fmt: skip
