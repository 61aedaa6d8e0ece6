"""Coverage as evidence: how it grows with the number of picks, on the graph and on noisy copies of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from perturb_jax.genes.perturbations import Perturbations
from perturb_jax.graph.knowledge_graph import candidate_degrees
from perturb_jax.graph.reach import reach_sets
from perturb_jax.plan.plan import Comparison, Found, Plan, Question
from perturb_jax.selection.coverage import covered_after
from perturb_jax.selection.graphreach import graphreach, pick_counts
from perturb_jax.selection.selection import Selection
from perturb_jax.strategies.choose import in_order
from perturb_jax.strategies.graphreach import DROPOUT
from perturb_jax.support.figures import BOUND, DEGREE, RANDOM, SELECTION, canvas

RANDOM_DRAWS = 20
"""Draws of the random baseline, with seeds 0, 1, ..."""


class Coverage:
    """What a plan has whatever its strategy; other kinds of evidence derive from it and add theirs.

    Attributes:
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

    def __init__(self, question: Question):
        self.question = question

    @property
    def named(self) -> tuple[Perturbations, ...]:
        """Further names that were given."""
        return ()

    def cost(self, some: Perturbations) -> int | float:
        """What some perturbations use of the budget."""
        return len(some)

    def buys_more(self, left: int | float) -> bool:
        """Whether what is left of the budget is enough for a candidate."""
        return left > 0

    def strategy_for(self, candidates: Perturbations) -> Any:  # noqa: ARG002  (for kinds that differ for must-haves)
        """The strategy that chooses from the must-haves, and then from the rest."""
        return self.question.strategy

    def found(self, picks: Perturbations, selections: tuple[Selection, ...]) -> Found:
        """What it says of the picks: first of all their coverage, whatever they were chosen for."""
        question = self.question
        hops, direction = question.hops, question.direction
        coverage = in_order(question.graph, picks, question.tested, hops, direction, question.name)
        gains, bounds, layers = (joined(selections, name) for name in ("gains", "bounds", "layers"))
        bounds[: len(question.must)] = np.nan
        is_coverage = selections[0].objective == coverage.objective
        columns = {
            "gain": (gains if is_coverage else coverage.gains).astype(int),
            "covered": coverage.values.astype(int),
            "covered_fraction": (coverage.values / question.graph.num_nodes).round(6),
            "layer": layers,
            "bound": pd.array(bounds if is_coverage else np.full(len(picks), np.nan), dtype="Int64"),
        }
        return Found(pd.DataFrame(columns))

    def compare(self, plan: Plan) -> Comparison:
        """What the picks are compared with."""
        return Comparison(baseline_curves(plan))

    def curve(self, plan: Plan) -> pd.DataFrame:
        """The curves as a table: a row per number of picks."""
        curves = plan.comparison.coverage
        shown = {"picks": np.arange(len(curves.top_degree)), "covered": covered_points(plan)}
        return pd.DataFrame(shown | band_columns(curves.random) | {"top_degree": curves.top_degree})

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
            "covered before": curves.before,
            "covered": covered,
            "covered_fraction": covered / self.question.graph.num_nodes,
            "reachable from all candidates": curves.reachable,
            "bound": None if pd.isna(bound) else int(bound),
            "first rank of each cover layer": starts,
            "random": {
                "seeds": list(range(RANDOM_DRAWS)),
                "covered": random.tolist(),
                "mean": float(random.mean()),
            },
            "top-degree": int(curves.top_degree[-1]),
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
        strategy = self.question.strategy
        dropout = DROPOUT if strategy.dropout is None else strategy.dropout
        return {"robust": {"copies": strategy.robust, "dropout": dropout, "seed": strategy.dropout_seed or 0}}

    def found(self, picks: Perturbations, selections: tuple[Selection, ...]) -> Found:
        """The picks on each copy, beside what GraphReach picks on each of them alone, and on the graph itself.

        One row per pick: mean_covered (genes reached, mean over the copies), mean_bound (no selection of as many picks
        that begins with the must-haves reaches more), frequency (fraction of the copies on which GraphReach alone picks
        it); must-haves have no bound and no frequency.

        Complexity: that of `graphreach` on every copy.
        """
        question, strategy, tested = self.question, self.question.strategy, self.question.tested
        must = selections[0].perturbations if len(question.must) else question.must
        copies = strategy.noisy(question.graph)
        values, bounds = joined(selections, "values"), joined(selections, "bounds")
        bounds[: len(must)] = np.nan
        frequency = np.full(len(values), np.nan)
        chosen, left = must, len(values) - len(must)
        if left:
            how = (strategy.hops, strategy.direction, tested.joined(must), question.request.seed)
            counts = pick_counts(copies, question.pool, left, *how, ties=strategy.ties)
            fraction = dict(zip(counts.candidates, counts.counts / len(copies), strict=True))
            frequency[len(must) :] = [fraction[gene] for gene in selections[-1].genes]
            plain = graphreach(question.graph, question.pool, left, *how, ties=strategy.ties)
            chosen = must.joined(plain.perturbations)
        of_plain, before = (
            reach_sets(copies, some.members, strategy.hops, strategy.direction) for some in (chosen, tested)
        )
        covered = covered_after(of_plain, before.counts())[-1]
        result = {"mean covered": float(values[-1]), "picks of the graph itself": float(covered) / len(copies)}
        if np.isfinite(bounds[-1]):
            result["bound"] = float(bounds[-1])
        columns = {"mean_covered": values, "mean_bound": bounds, "frequency": frequency}
        shown = {name: pd.array(part.round(4), dtype="Float64") for name, part in columns.items()}
        return Found(super().found(picks, selections).columns.assign(**shown), details={"robust": result})

    def record(self, plan: Plan) -> dict[str, Any]:
        """The mean coverage in the end."""
        return plan.found.details | super().record(plan)


def joined(selections: tuple[Selection, ...], name: str) -> np.ndarray:
    """An array of each selection, one after the other."""
    return np.concatenate([getattr(picks, name) for picks in selections])


def covered_points(plan: Plan) -> Int[np.ndarray, " points"]:
    """Nodes covered after 0, 1, ... picks of a plan."""
    return np.concatenate([[plan.comparison.coverage.before], plan.table["covered"]])


@dataclass(frozen=True, eq=False)
class CoverageCurves:
    """Nodes covered before the first pick, by all candidates together (`reachable`), and after 0, 1, ... picks."""

    before: int
    reachable: int
    random: Int[np.ndarray, "draws points"]
    top_degree: Int[np.ndarray, " points"]


def baseline_orders(plan: Plan) -> tuple[list[Int[np.ndarray, " order"]], Int[np.ndarray, " order"]]:
    """Orders of a plan's candidates: random draws, and by falling out-degree."""
    pool = plan.pool
    draws = [np.random.default_rng(seed).permutation(len(pool)) for seed in range(RANDOM_DRAWS)]
    return draws, np.argsort(-candidate_degrees(plan.evidence.question.graph, pool), kind="stable")


def baseline_curves(plan: Plan) -> CoverageCurves:
    """Coverage of random and top-degree picks under the same conditions as a plan, after the same must-haves.

    Complexity: O(draws x entries of the picks' reach sets).
    """
    question = plan.evidence.question
    tested, first, sets = (
        reach_sets(question.graph, some.members, question.hops, question.direction)
        for some in (plan.tested, plan.must, plan.pool)
    )
    counts = tested.counts()
    head = covered_after(first, counts)
    covered = counts + first.counts()
    before = np.count_nonzero(counts)
    rest = len(plan.picks) - len(plan.must)

    def curve(order: Int[np.ndarray, " order"]) -> Int[np.ndarray, " points"]:
        return np.concatenate([[before], head, covered_after(sets, covered, order[:rest])])

    draws, by_degree = baseline_orders(plan)
    return CoverageCurves(
        before=int(before),
        reachable=int(np.count_nonzero(covered + sets.counts())),
        random=np.stack([curve(draw) for draw in draws]),
        top_degree=curve(by_degree),
    )


def band(draws: Float[np.ndarray, "draws points"] | Int[np.ndarray, "draws points"]) -> tuple[np.ndarray, ...]:
    """Mean, least and greatest over the draws."""
    return draws.mean(0), draws.min(0), draws.max(0)


def band_columns(draws: Float[np.ndarray, "draws points"] | Int[np.ndarray, "draws points"]) -> dict[str, np.ndarray]:
    """Mean, least and greatest over the draws, as columns of a plan's curve."""
    return dict(zip(("random", "random_least", "random_most"), band(draws), strict=True))


def draw_band(axes: Axes, x: np.ndarray, draws: np.ndarray) -> None:
    """The range of random draws in grey, and their mean."""
    mean, low, high = band(draws)
    axes.fill_between(x, low, high, color=RANDOM, alpha=0.25, linewidth=0)
    axes.plot(x, mean, color=RANDOM, linestyle=":", label=f"random (mean and range of {len(draws)} draws)")


def draw_coverage(axes: Axes, plan: Plan, bounds: Float[np.ndarray, " picks"] | None = None) -> None:
    """The curves of coverage and, where there is one, the certificate: NaN where a pick has none."""
    curves, num_nodes = plan.comparison.coverage, plan.evidence.question.graph.num_nodes
    picks = np.arange(len(curves.top_degree))
    # below the thin lines, which stay visible
    axes.plot(picks, covered_points(plan), color=SELECTION, linewidth=2.6, label=plan.evidence.question.name)
    draw_band(axes, picks, curves.random)
    axes.plot(picks, curves.top_degree, color=DEGREE, linestyle="-.", label="most connected (out-degree)")
    if bounds is not None and np.isfinite(bounds).any():
        marker = "_" if np.isfinite(bounds).sum() == 1 else ""
        label = "no more with the must-haves" if len(plan.must) else "no selection can reach more"
        axes.plot(picks[1:], bounds, color=BOUND, linestyle="--", linewidth=1, marker=marker, label=label)
    axes.set(title="Genes reached", xlabel="perturbations picked", ylabel="genes of the graph", xlim=(0, picks[-1]))
    axes.set_ylim(bottom=0)
    per_cent = partial(np.multiply, 100 / num_nodes), partial(np.multiply, num_nodes / 100)
    axes.secondary_yaxis("right", functions=per_cent).set_ylabel("per cent of the graph")


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
