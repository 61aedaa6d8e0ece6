"""Coverage as evidence: how it grows with the number of picks, on the graph and on noisy copies of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float, Int, Real
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from perturb_jax.genes.perturbations import Perturbations
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph, candidate_degrees
from perturb_jax.graph.reach import reach_sets
from perturb_jax.kernel.kernel import Kernel
from perturb_jax.plan.plan import Comparison, Found, Plan, Request
from perturb_jax.selection.coverage import covered_after
from perturb_jax.selection.graphreach import graphreach, pick_counts
from perturb_jax.selection.selection import Selection
from perturb_jax.strategies.choose import in_order
from perturb_jax.strategies.graphreach import DROPOUT
from perturb_jax.support.figures import BOUND, DEGREE, RANDOM, SELECTION, canvas

RANDOM_DRAWS = 20
"""Draws of the random baseline, with seeds 0, 1, ..."""


@dataclass(eq=False)
class Coverage:
    """What a plan has whatever its strategy; other kinds of evidence derive from it and add theirs.

    It is made of a request whose names are understood and whose strategy is made.

    Attributes:
        request: what is wanted.
        strategy: an instance.
        name: what it is called.
        graph: the knowledge graph; beside a kernel its genes without edges.
        kernel: how similar the effects are expected to be; None: what the graph alone implies.
        given: all candidates that were given, whatever became of them.
        must: what ranks first.
        pool: the candidates for the rest.
        tested: what counts as covered.
        hops: steps within which coverage is measured.
        direction: of that reach.
        named: further names that were given.
        costs: of each must-have and of each other candidate; None: every experiment counts 1.
        files: names of tables that are written besides the picks, with the attribute of the plan that each is.
        heading: above the picture, on the page.
        note: below the table of picks, on the page: HTML.
        recorded_elsewhere: options that the record of the settings leaves to its other parts.
        hidden: columns of the table of picks for which a terminal has no room.
        listing: the column that lists names, of which a terminal shows as many as have room; empty where there is none.
    """

    files: ClassVar[dict[str, str]] = {}
    heading: ClassVar[str] = "Coverage"
    note: ClassVar[str] = ""
    recorded_elsewhere: ClassVar[tuple[str, ...]] = ()
    hidden: ClassVar[tuple[str, ...]] = ()
    listing: ClassVar[str] = ""

    request: Request
    strategy: Any
    name: str
    graph: KnowledgeGraph
    kernel: Kernel | None
    given: Perturbations
    must: Perturbations
    pool: Perturbations
    tested: Perturbations
    hops: int
    direction: Direction
    named: tuple[Perturbations, ...] = field(default=(), init=False)
    costs: dict[str, float] | None = field(default=None, init=False)

    def cost(self, some: Perturbations) -> int | float:
        """What some perturbations use of the budget."""
        return len(some) if self.costs is None else sum(self.costs[label] for label in some)

    def reach(self, some: Perturbations) -> sp.csr_array:
        """The genes that each of some perturbations covers."""
        return reach_sets(self.graph, some.members, self.hops, self.direction)

    def strategy_for(self, candidates: Perturbations) -> Any:  # noqa: ARG002  (for kinds that differ for must-haves)
        """The strategy that chooses from the must-haves, and then from the rest."""
        return self.strategy

    def found(self, picks: Perturbations, selections: tuple[Selection, ...]) -> Found:
        """What it says of the picks: first of all their coverage, whatever they were chosen for."""
        coverage = in_order(self.graph, picks, self.tested, self.hops, self.direction, self.name)
        gains, bounds, layers = (joined(selections, name) for name in ("gains", "bounds", "layers"))
        bounds[: len(self.must)] = np.nan
        is_coverage = selections[0].objective == coverage.objective
        columns = {
            "gain": (gains if is_coverage else coverage.gains).astype(int),
            "covered": coverage.values.astype(int),
            "covered_fraction": (coverage.values / self.graph.num_nodes).round(6),
            "layer": layers,
            "bound": pd.array(bounds if is_coverage else np.full(len(picks), np.nan), dtype="Int64"),
        }
        return Found(pd.DataFrame(columns))

    def compare(self, plan: Plan) -> Comparison:
        """Coverage of random and top-degree picks under the same conditions, after the same must-haves.

        Complexity: O(draws x entries of the picks' reach sets).
        """
        tested, first, sets = map(self.reach, (plan.tested, plan.must, plan.pool))
        counts = tested.sum(0, dtype=np.int32)
        before = [np.count_nonzero(counts)]
        head = covered_after(first, counts)
        covered = counts + first.sum(0, dtype=np.int32)

        def curve(order: Int[np.ndarray, " order"]) -> Int[np.ndarray, " points"]:
            rest = order[: len(plan.picks) - len(plan.must)]
            return np.concatenate([before, head, covered_after(sets, covered, rest)])

        draws, by_degree = baseline_orders(plan)
        curves = Curves(
            spent=np.arange(len(plan.picks) + 1),
            plan=np.concatenate([before, plan.table["covered"]]),
            random=np.stack([curve(draw) for draw in draws]),
            others={"top_degree": curve(by_degree)},
        )
        return Comparison(curves, int(np.count_nonzero(covered + sets.sum(0))))

    def curve(self, plan: Plan) -> pd.DataFrame:
        """The curves as a table: a row per number of picks."""
        return plan.comparison.coverage.table("picks", "covered")

    def settings(self) -> dict[str, Any]:
        """Its part of the record's settings: plain values."""
        return {}

    def record(self, plan: Plan) -> dict[str, Any]:
        """Its part of the record's result: plain values."""
        table, curves = plan.table, plan.comparison.coverage
        covered, bound = int(table["covered"].iloc[-1]), table["bound"].iloc[-1]
        random = curves.random[:, -1]
        starts = {str(layer): int(rank) for layer, rank in table.groupby("layer")["rank"].min().items()}
        return {
            "covered before": int(curves.plan[0]),
            "covered": covered,
            "covered_fraction": covered / self.graph.num_nodes,
            "reachable from all candidates": plan.comparison.reachable,
            "bound": None if pd.isna(bound) else int(bound),
            "first rank of each cover layer": starts,
            "random": {"seeds": list(range(RANDOM_DRAWS)), "covered": random.tolist(), "mean": float(random.mean())},
            "top-degree": int(curves.others["top_degree"][-1]),
        }

    def facts(self, plan: Plan, result: dict[str, Any]) -> list[tuple[str, str]]:
        """What stands at the top of the page: numbers with words."""
        facts = [
            (f"{result['covered']:,}", f"genes covered, {100 * result['covered_fraction']:.1f} % of the graph"),
            (f"{result['covered before']:,}", "of them before the first pick"),
            (f"{result['random']['mean']:,.0f}", f"with {len(plan.picks)} random picks, on average"),
        ]
        if result["bound"] is not None:
            bounded = "no selection of this size covers more" + " with the must-haves" * (len(plan.must) > 0)
            facts.append((f"{result['bound']:,}", bounded))
        return facts

    def lines(self, record: Mapping[str, Any]) -> list[str]:
        """What the record says, in sentences for a terminal."""
        result, nodes, picks = record["result"], record["graph"]["nodes"], len(record["picks"])
        random, must = result["random"], len(record["candidates"]["must include"])
        tested = len(record["candidates"]["already tested"])
        lines = [
            f"{picks} picks{f' and the {tested:,} already tested' if tested else ''} reach {result['covered']:,} of "
            f"{nodes:,} genes ({result['covered_fraction']:.1%}); all candidates together reach "
            f"{result['reachable from all candidates']:,}.",
            f"Random picks reach {random['mean']:,.0f} (mean of {len(random['covered'])} draws, "
            f"{min(random['covered']):,} to {max(random['covered']):,}), the most connected genes "
            f"{result['top-degree']:,}.",
        ]
        if result["bound"] is not None:
            among = f", the {must:,} must-haves among them," if must else ""
            lines.append(
                f"No {picks} of these candidates{among} can reach more than {result['bound']:,}: these reach at least "
                f"{1000 * result['covered'] // result['bound'] / 10} % of the best possible."
            )
        return lines

    def figure(self, plan: Plan, title: str) -> bytes:
        """Coverage and marginal gains against the number of picks, as a PNG."""
        gains, layers = plan.table["gain"].to_numpy(), plan.table["layer"].to_numpy()
        with canvas(title, (10.0, 4.4)) as (figure, output):
            left, right = figure.subplots(1, 2, width_ratios=[1.35, 1])
            draw_coverage(left, plan, plan.table["bound"].to_numpy(dtype=float, na_value=np.nan))
            _draw_gains(right, gains, plan.comparison.coverage)
            for axes in (left, right):
                _mark_layers(axes, layers)
                for axis in (axes.xaxis, axes.yaxis):
                    axis.get_major_locator().set_params(integer=True)
                    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
        return output.getvalue()


class Robust(Coverage):
    """Coverage of the noisy copies beside that of the graph; for strategies with GraphReach's options."""

    recorded_elsewhere = ("robust", "dropout", "dropout_seed")
    hidden = ("covered_fraction", "layer", "bound")

    def lines(self, record: Mapping[str, Any]) -> list[str]:
        """What the picks reach on the copies, too."""
        robust, noise = record["result"]["robust"], record["settings"]["robust"]
        bound = f"; no selection reaches more than {robust['bound']:,.1f}" if "bound" in robust else ""
        lines = super().lines(record)
        lines.insert(
            2,
            f"On {noise['copies']:,} copies of the graph, each without {noise['dropout']:.0%} of the edges, these "
            f"picks reach {robust['mean covered']:,.1f} genes on average{bound}. GraphReach's picks for the graph "
            f"itself reach {robust['picks of the graph itself']:,.1f}.",
        )
        return lines

    def settings(self) -> dict[str, Any]:
        """The noise."""
        strategy = self.strategy
        dropout = DROPOUT if strategy.dropout is None else strategy.dropout
        return {"robust": {"copies": strategy.robust, "dropout": dropout, "seed": strategy.dropout_seed or 0}}

    def found(self, picks: Perturbations, selections: tuple[Selection, ...]) -> Found:
        """The picks on each copy, beside what GraphReach picks on each of them alone, and on the graph itself.

        One row per pick: mean_covered (genes reached, mean over the copies), mean_bound (no selection of as many picks
        that begins with the must-haves reaches more), frequency (fraction of the copies on which GraphReach alone picks
        it); must-haves have no bound and no frequency.

        Complexity: that of `graphreach` on every copy.
        """
        strategy, tested = self.strategy, self.tested
        must = selections[0].perturbations if len(self.must) else self.must
        copies = strategy.noisy(self.graph)
        values, bounds = joined(selections, "values"), joined(selections, "bounds")
        bounds[: len(must)] = np.nan
        frequency = np.full(len(values), np.nan)
        chosen, left = must, len(values) - len(must)
        if left:
            how = (strategy.hops, strategy.direction, tested.joined(must), self.request.seed)
            counts = pick_counts(copies, self.pool, left, *how, ties=strategy.ties)
            fraction = dict(zip(counts.candidates, counts.counts / len(copies), strict=True))
            frequency[len(must) :] = [fraction[gene] for gene in selections[-1].genes]
            plain = graphreach(self.graph, self.pool, left, *how, ties=strategy.ties)
            chosen = must.joined(plain.perturbations)
        of_plain, before = (
            reach_sets(copies, some.members, strategy.hops, strategy.direction) for some in (chosen, tested)
        )
        covered = covered_after(of_plain, before.sum(0, dtype=np.int32))[-1]
        result = {"mean covered": float(values[-1]), "picks of the graph itself": float(covered) / len(copies)}
        if np.isfinite(bounds[-1]):
            result["bound"] = float(bounds[-1])
        columns = {"mean_covered": values, "mean_bound": bounds, "frequency": frequency}
        shown = {name: pd.array(part.round(4), dtype="Float64") for name, part in columns.items()}
        return Found(super().found(picks, selections).columns.assign(**shown), details={"robust": result})

    def record(self, plan: Plan) -> dict[str, Any]:
        """The mean coverage in the end."""
        return plan.details | super().record(plan)


def joined(selections: tuple[Selection, ...], name: str) -> np.ndarray:
    """An array of each selection, one after the other."""
    return np.concatenate([getattr(picks, name) for picks in selections])


_OTHERS = ((DEGREE, "-."), ("#009E73", "--"), ("#CC79A7", "-"))
_LABELS = {"top_degree": "most connected (out-degree)"}


@dataclass(frozen=True, eq=False)
class Curves:
    """A plan, random draws, and other ways to choose by name, after some picks or money; NaN past a curve's end."""

    spent: Real[np.ndarray, " points"]
    plan: Real[np.ndarray, " points"]
    random: Real[np.ndarray, "draws points"]
    others: dict[str, Real[np.ndarray, " points"]]

    def table(self, spent: str, plan: str) -> pd.DataFrame:
        """A row per point: the plan, mean, least and greatest over the draws, the others."""
        band = {"random": self.random.mean(0), "random_least": self.random.min(0), "random_most": self.random.max(0)}
        return pd.DataFrame({spent: self.spent, plan: self.plan} | band | self.others)

    def draw_compared(self, axes: Axes, scale: float = 1.0) -> None:
        """The range of random draws in grey, their mean, and the others."""
        draws = scale * self.random
        axes.fill_between(self.spent, draws.min(0), draws.max(0), color=RANDOM, alpha=0.25, linewidth=0)
        label = f"random (mean and range of {len(draws)} draws)"
        axes.plot(self.spent, draws.mean(0), color=RANDOM, linestyle=":", label=label)
        for (name, curve), (color, line) in zip(self.others.items(), _OTHERS, strict=False):
            axes.plot(self.spent, scale * curve, color=color, linestyle=line, label=_LABELS.get(name, name))


def baseline_orders(plan: Plan) -> tuple[list[Int[np.ndarray, " order"]], Int[np.ndarray, " order"]]:
    """Orders of a plan's candidates: random draws, and by falling out-degree."""
    pool = plan.pool
    draws = [np.random.default_rng(seed).permutation(len(pool)) for seed in range(RANDOM_DRAWS)]
    return draws, np.argsort(-candidate_degrees(plan.evidence.graph, pool), kind="stable")


def draw_coverage(axes: Axes, plan: Plan, bounds: Float[np.ndarray, " picks"] | None = None) -> None:
    """The curves of coverage and, where there is one, the certificate: NaN where a pick has none."""
    curves, num_nodes = plan.comparison.coverage, plan.evidence.graph.num_nodes
    picks = curves.spent
    # below the thin lines, which stay visible
    axes.plot(picks, curves.plan, color=SELECTION, linewidth=2.6, label=plan.evidence.name)
    curves.draw_compared(axes)
    if bounds is not None and np.isfinite(bounds).any():
        marker = "_" if np.isfinite(bounds).sum() == 1 else ""
        label = "no more with the must-haves" if len(plan.must) else "no selection can reach more"
        axes.plot(picks[1:], bounds, color=BOUND, linestyle="--", linewidth=1, marker=marker, label=label)
    axes.set(title="Genes reached", xlabel="perturbations picked", ylabel="genes of the graph", xlim=(0, picks[-1]))
    axes.set_ylim(bottom=0)
    per_cent = partial(np.multiply, 100 / num_nodes), partial(np.multiply, num_nodes / 100)
    axes.secondary_yaxis("right", functions=per_cent).set_ylabel("per cent of the graph")


def _draw_gains(axes: Axes, gains: np.ndarray, curves: Curves) -> None:
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
