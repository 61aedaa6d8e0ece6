"""What is learned as evidence: what each pick informs, what stays unknown, and what others would leave unknown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.ticker import StrMethodFormatter

from perturb_jax.genes.perturbations import Perturbations
from perturb_jax.kernel.graph import as_kernel
from perturb_jax.plan.coverage import RANDOM_DRAWS, Coverage, Curves, joined
from perturb_jax.plan.plan import Comparison, Found, Plan, needs_graph, under
from perturb_jax.selection.design import (
    DesignProblem,
    explained_by_each,
    explained_fractions,
    parse_costs,
    parse_targets,
    state_problem,
)
from perturb_jax.selection.graphdesign import design
from perturb_jax.selection.selection import Selection
from perturb_jax.strategies.choose import choose
from perturb_jax.strategies.graphdesign import GraphDesign
from perturb_jax.strategies.registry import STRATEGIES
from perturb_jax.strategies.strategy import Ask
from perturb_jax.support.errors import InputError
from perturb_jax.support.figures import RANDOM, SELECTION, canvas

TARGETS_SHOWN = 5  # with each pick
LEAST_SHOWN = 8  # of the targets that are least known, on a terminal
LEAST_KNOWN = 10  # of them, in the record
_INFORMANTS_SHOWN = 3  # with each target
_LEAST_FRACTION = 0.0005  # what rounds to 0.0 % informs nothing
_GRID = 100
_ROUNDING = 1 + 1e-6  # of sums of money


class _Stated(NamedTuple):
    """GraphDesign for a problem that is stated already."""

    problem: DesignProblem
    criterion: Any
    costs: dict[str, float] | None

    def choose(self, ask: Ask) -> Selection:
        """The picks with what is learned by each."""
        prices = None if self.costs is None else np.array([self.costs[label] for label in ask.candidates])
        return design(self.problem, ask.candidates, ask.selected, ask.budget, self.criterion, prices, ask.seed)


@dataclass(eq=False)
class Learned(Coverage):
    """What measuring the picks would tell of the targets; for GraphDesign's options, which others have by default.

    The problem is stated here once: the targets are those of the strategy, or all candidates and must-haves.

    Attributes:
        options: the strategy, or GraphDesign's defaults where it is another one that chooses by a kernel.
        problem: what is to be learned.
        targets: what each target is worth, by name.
    """

    files: ClassVar[dict[str, str]] = {"targets.csv": "targets"}
    heading: ClassVar[str] = "What stays unknown"
    recorded_elsewhere: ClassVar[tuple[str, ...]] = ("targets", "costs")
    hidden: ClassVar[tuple[str, ...]] = ("gain", "covered", "covered_fraction", "layer", "bound", "criterion_bound")
    listing: ClassVar[str] = "informs"
    note: ClassVar[str] = " <i>Informs</i>: the targets of which it explains most, given the picks before it."

    def __post_init__(self) -> None:
        strategy, must, budget = self.strategy, self.must, self.request.budget
        names, unknown = self.graph.names, self.request.unknown
        options = strategy if getattr(strategy, "evidence", "") == "design" else GraphDesign()
        self.options: Any = options
        if options.targets is None:
            targets = must.joined(self.given.without(must))
            weights = np.ones(len(targets))
        else:
            targets, weights = parse_targets(names, options.targets, unknown)
        source = self.graph if self.kernel is None else self.kernel
        kernel = as_kernel(source, options.hops, options.direction, options.weighted, options.normalize)
        self.problem = state_problem(kernel, targets, weights, options.noise)
        self.targets = dict(zip(targets.labels, weights.tolist(), strict=True))
        self.named = (self.problem.targets,)
        if options.costs is not None:
            everyone = must.joined(self.pool)
            prices = parse_costs(names, options.costs, everyone, unknown)
            self.costs = dict(zip(everyone.labels, prices.tolist(), strict=True))
            if self.cost(must) > budget * _ROUNDING:
                raise InputError(
                    f"budget: {budget:g} is less than the {self.cost(must):g} that the must-include genes cost; raise "
                    "it"
                )

    def strategy_for(self, candidates: Perturbations) -> Any:
        """GraphDesign for the problem that is stated already; must-haves are ordered whatever they cost."""
        if self.options is not self.strategy:
            return self.strategy
        costs = None if candidates is self.must else self.costs
        return _Stated(self.problem, self.options.criterion, costs)

    def found(self, picks: Perturbations, selections: tuple[Selection, ...]) -> Found:
        """Columns for the table of picks, and the table of targets.

        One row per pick: coverage (on a graph), criterion and criterion_bound (where another one than the explained
        variance decides), cost (where given), explained (fraction of the targets' prior variance that is explained
        after the pick, by what was tested before too), informs (the targets of which it explains most, with the
        fraction of each one's prior variance). One row per target, what stays least known first: rank, target, weight,
        remaining (fraction of its prior variance), status, informed_by.
        """
        problem, tested = self.problem, self.tested
        fractions = explained_by_each(problem, tested.joined(picks))
        worth = problem.weights * problem.rows.variance / problem.prior
        columns = pd.DataFrame() if self.kernel is not None else super().found(picks, selections).columns
        if self.options is self.strategy and selections[0].objective != "explained variance":
            values, bounds = joined(selections, "values"), joined(selections, "bounds")
            bounds[: len(self.must)] = np.nan
            columns["criterion"], columns["criterion_bound"] = values.round(6), bounds.round(6)
        if self.costs is not None:
            columns["cost"] = [self.costs[label] for label in picks.labels]
        columns["explained"] = np.cumsum(fractions @ worth)[len(tested) :].round(6)
        labels = problem.targets.labels
        columns["informs"] = [_largest(labels, row, row * worth, TARGETS_SHOWN) for row in fractions[len(tested) :]]
        return Found(columns, self._targets(picks, fractions))

    def _targets(self, picks: Perturbations, fractions: Float[np.ndarray, "experiments targets"]) -> pd.DataFrame:
        targets, tested = self.problem.targets, self.tested
        measured = tested.joined(picks).labels
        status = dict.fromkeys(picks.gene_sets(), "picked") | dict.fromkeys(tested.gene_sets(), "already tested")
        table = pd.DataFrame(
            {
                "target": targets.labels,
                "weight": list(self.targets.values()),
                "remaining": (1 - fractions.sum(0)).clip(0, 1).round(6),
                "status": [status.get(genes, "") for genes in targets.gene_sets()],
                "informed_by": [_largest(measured, row, row, _INFORMANTS_SHOWN) for row in fractions.T],
            }
        )
        table = table.sort_values("remaining", ascending=False, kind="stable", ignore_index=True)
        table.insert(0, "rank", np.arange(1, len(table) + 1))
        return table

    def compare(self, plan: Plan) -> Comparison:
        """What stays unknown after random picks and after those of the strategies that its own is compared with.

        The fraction of the targets' prior variance, from 1 down, against the number of picks or, where costs are given,
        what they cost together.

        Complexity: O((draws + 3) x picks^3), and what the other strategies take.
        """
        first, pool, tested = plan.must, plan.pool, plan.tested
        problem, costs, kernel = self.problem, self.costs, self.kernel
        budget = self.request.budget
        grid = np.arange(budget + 1.0) if costs is None else np.linspace(0, budget, _GRID + 1)
        most = len(plan.picks) - len(first) if costs is None else len(pool)

        def bought_of(order: Perturbations) -> tuple[Perturbations, np.ndarray]:
            """The first of an order that the budget buys, and what 0, 1, ... of them cost."""
            money = np.cumsum([0.0, *(1 if costs is None else costs[label] for label in order)])
            affordable = int(np.searchsorted(money, budget * _ROUNDING, side="right"))
            return order.take(np.arange(affordable - 1)), money[:affordable]

        def curve(order: Perturbations, ends: bool = False) -> Float[np.ndarray, " points"]:
            affordable, money = bought_of(order)
            left = 1 - explained_fractions(problem, tested.joined(affordable))[len(tested) :]
            bought = np.searchsorted(money, grid * _ROUNDING, side="right") - 1
            return np.where(ends & (grid > money[-1] * _ROUNDING), np.nan, left[bought])

        draws = [pool.take(np.random.default_rng(seed).permutation(len(pool))[:most]) for seed in range(RANDOM_DRAWS)]
        others = {}
        for name in self.options.compared:
            if kernel is not None and needs_graph(STRATEGIES.get(name)):
                continue
            other = under({"hops": self.hops, "direction": self.direction}, name)
            length = min(most, other.longest or most)
            taken = pool.take(np.zeros(0, np.int64))
            if length:
                ask = Ask(self.graph, pool, tested.joined(first), length, kernel=kernel)
                taken = choose(other, ask).perturbations
            others[name] = curve(first.joined(taken), ends=length < most)
        coverage = Comparison() if kernel is not None else super().compare(plan)
        random = np.stack([curve(first.joined(draw)) for draw in draws])
        left = 1 - explained_by_each(problem, tested.joined(bought_of(first.joined(draws[0]))[0])).sum(0)
        return coverage._replace(own=Curves(grid, curve(plan.picks), random, others), at_random=left.clip(0, 1))

    def curve(self, plan: Plan) -> pd.DataFrame:
        """What stays unknown after so much is spent, as a table."""
        return plan.comparison.own.table("spent", "remaining")

    def record(self, plan: Plan) -> dict[str, Any]:
        """What stays unknown, of the plan and of what it is compared with."""
        remaining: Curves = plan.comparison.own
        ends = {name: curve[np.isfinite(curve)] for name, curve in remaining.others.items()}
        assert plan.targets is not None
        result = {
            "targets": len(self.problem.targets),
            "noise variance": self.problem.noise,
            "objective": plan.selections[-1].objective,
            "remaining variance before": float(remaining.plan[0]),
            "remaining variance": float(remaining.plan[-1]),
            "random": remaining.random[:, -1].tolist(),
            **{name: {"spent": float(remaining.spent[len(end) - 1]), "remaining variance": float(end[-1])}
               for name, end in ends.items()},
            "cost": self.cost(plan.picks),
            "least known": plan.targets["target"].head(LEAST_KNOWN).tolist(),
        }  # fmt: skip
        bound = plan.selections[-1].bounds[-1]
        if np.isfinite(bound):
            result |= {"value": float(plan.selections[-1].values[-1]), "bound": float(bound)}
        return {"design": result} | (super().record(plan) if self.kernel is None else {})

    def facts(self, plan: Plan, result: dict[str, Any]) -> list[tuple[str, str]]:
        """What stays unknown, and the coverage."""
        learned = result["design"]
        drawn = f"{100 * np.mean(learned['random']):.1f} %"
        words = f"of the variance of {learned['targets']:,} targets expected to remain; {drawn} with random picks"
        return [(f"{100 * learned['remaining variance']:.1f} %", words), *super().facts(plan, result)]

    def lines(self, record: Mapping[str, Any]) -> list[str]:
        """What stays unknown, and the coverage."""
        learned, picks = record["result"]["design"], len(record["picks"])
        random = learned["random"]
        compared = "".join(
            f", {name} {end['remaining variance']:.1%}" + (f" (first {end['spent']:g})" if end["spent"] < picks else "")
            for name, end in learned.items()
            if isinstance(end, Mapping)
        )
        lines = [
            f"Expected variance that stays unknown of {learned['targets']:,} targets: "
            f"{learned['remaining variance before']:.1%} before, {learned['remaining variance']:.1%} after these "
            f"picks; random picks {min(random):.1%} to {max(random):.1%}{compared}.",
            f"Least known will be {', '.join(learned['least known'][:LEAST_SHOWN])} (all in targets.csv).",
        ]
        if "bound" in learned:
            lines.append(
                f"No selection has a larger {learned['objective']} than {learned['bound']:.4g}: these have "
                f"{learned['value']:.4g}, at least {100 * learned['value'] / learned['bound']:.1f} % of the best "
                "possible."
            )
        return lines + (super().lines(record) if self.kernel is None else [])

    def figure(self, plan: Plan, title: str) -> bytes:
        """What stays unknown: in total against what is spent, and of each target in the end, as a PNG."""
        remaining: Curves = plan.comparison.own
        spent = remaining.spent
        with canvas(f"{title}; {len(self.problem.targets):,} targets", (10.0, 4.4)) as (figure, output):
            left, right = figure.subplots(1, 2, width_ratios=[1.2, 1])
            left.plot(spent, 100 * remaining.plan, color=SELECTION, linewidth=2.6, label=self.name)
            remaining.draw_compared(left, 100.0)
            unit = "perturbations picked" if self.costs is None else "cost of the perturbations picked"
            left.set(title="Expected remaining variance", xlabel=unit, ylabel="per cent of the prior variance")
            left.set(xlim=(0, spent[-1]))
            assert plan.targets is not None
            targets = plan.targets["rank"]
            right.plot(targets, 100 * np.sort(plan.comparison.at_random)[::-1], color=RANDOM, linestyle=":")
            right.plot(targets, 100 * plan.targets["remaining"], color=SELECTION, linewidth=2.6)
            right.set(title="Of each target after the last pick", xlabel="targets, least known first", ylim=(0, 102))
            right.set(ylabel="per cent of its prior variance", xlim=(0, len(targets)))
            right.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
        return output.getvalue()


def _largest(labels: tuple[str, ...], fractions: np.ndarray, worth: np.ndarray, most: int) -> str:
    """The labels with the largest worth, each with its fraction in per cent."""
    first = np.argsort(-worth, kind="stable")[:most]
    kept = [i for i in first if fractions[i] >= _LEAST_FRACTION and worth[i] > 0]
    return "; ".join(f"{labels[i]} {fractions[i]:.1%}" for i in kept)
