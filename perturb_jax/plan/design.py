"""What is learned as evidence: what each pick teaches, what stays unknown, and what others would leave unknown."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.ticker import StrMethodFormatter

from perturb_jax.genes.perturbations import Perturbations
from perturb_jax.kernel.graph import as_kernel
from perturb_jax.plan.coverage import RANDOM_DRAWS, Coverage, band
from perturb_jax.plan.evidence import Comparison, Found, Question
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
from perturb_jax.strategies.registry import STRATEGIES, make_strategy
from perturb_jax.strategies.strategy import Ask
from perturb_jax.support.errors import InputError
from perturb_jax.support.figures import RANDOM, SELECTION, canvas
from perturb_jax.support.options import options_of

if TYPE_CHECKING:
    from perturb_jax.plan.plan import Plan

TARGETS_SHOWN = 5
"""Targets named with each pick."""

LEAST_KNOWN = 10
"""Targets that the record names as least known."""

_TEACHERS_SHOWN = 3
_LEAST_SHARE = 0.0005  # what rounds to 0.0 % teaches nothing
_GRID = 100
_OTHERS = (("#D55E00", "-."), ("#009E73", "--"), ("#CC79A7", "-"))


class _Stated(NamedTuple):
    """GraphDesign for a problem that is stated already."""

    problem: DesignProblem
    criterion: Any
    costs: dict[str, float] | None

    def choose(self, ask: Ask) -> Selection:
        """The picks with what is learned by each."""
        prices = None if self.costs is None else np.array([self.costs[label] for label in ask.candidates])
        return design(self.problem, ask.candidates, ask.selected, ask.budget, self.criterion, prices, ask.seed)


class Learned(Coverage):
    """What the picks teach about the targets; for strategies with GraphDesign's options.

    The problem is stated here once: the targets are those of the strategy, or all candidates and must-haves.

    Attributes:
        problem: what is to be learned.
        targets: what each target is worth, by name.
        costs: of each must-have and of each other candidate; None: every experiment counts 1.

    Raises:
        InputError: options that cannot be used; must-haves that cost more than the budget.
    """

    files: ClassVar[dict[str, str]] = {"targets.csv": "targets"}
    heading: ClassVar[str] = "What stays unknown"
    recorded_elsewhere: ClassVar[tuple[str, ...]] = ("targets", "costs")
    note: ClassVar[str] = " <i>Teaches</i>: the targets of which it explains most, given the picks before it."

    def __init__(self, question: Question):
        super().__init__(question)
        graph, strategy, must = question.graph, question.strategy, question.must
        if strategy.targets is None:
            targets = must.joined(question.given.without(must))
            weights = np.ones(len(targets))
        else:
            targets, weights = parse_targets(graph.names, strategy.targets, question.unknown)
        kernel = as_kernel(graph, strategy.hops, strategy.direction, strategy.weighted, strategy.normalize)
        self.problem = state_problem(kernel, targets, weights, strategy.noise)
        self.targets = dict(zip(targets.labels, weights.tolist(), strict=True))
        self.costs: dict[str, float] | None = None
        if strategy.costs is not None:
            everyone = must.joined(question.pool)
            prices = parse_costs(graph.names, strategy.costs, everyone, question.unknown)
            self.costs = dict(zip(everyone.labels, prices.tolist(), strict=True))
            if self.cost(must) > question.budget * (1 + 1e-6):
                raise InputError(
                    f"budget: {question.budget:g} is less than the {self.cost(must):g} that the must-include genes "
                    "cost; raise it"
                )

    @property
    def named(self) -> tuple[Any, ...]:
        """The targets."""
        return (self.problem.targets,)

    def cost(self, some: Perturbations) -> int | float:
        """What some experiments cost together."""
        return len(some) if self.costs is None else sum(self.costs[label] for label in some)

    def buys_more(self, left: int | float) -> bool:
        """Whether what is left buys a candidate."""
        if self.costs is None:
            return left > 0
        return any(self.costs[label] <= left for label in self.question.pool)

    def asked(self, first: bool) -> Any:
        """The strategy, which the problem is stated for already; must-haves are ordered whatever they cost."""
        return _Stated(self.problem, self.question.strategy.criterion, None if first else self.costs)

    def found(self, picks: Perturbations, selections: tuple[Selection, ...]) -> Found:
        """Columns for the table of picks, and the table of targets.

        One row per pick: criterion and criterion_bound (where another one than the explained variance decides), cost
        (where given), explained (fraction of the targets' prior variance that is explained after the pick, by what was
        tested before too), teaches (the targets of which it explains most, with the fraction of each one's prior
        variance). One row per target, what stays least known first: rank, target, weight, remaining (fraction of its
        prior variance), status, taught_by.
        """
        problem, tested = self.problem, self.question.tested
        shares = explained_by_each(problem, tested.joined(picks))
        worth = problem.weights * problem.rows.variance / problem.prior
        explained = np.cumsum(shares @ worth)[len(tested) :]
        labels = problem.targets.labels
        columns: dict[str, Any] = {}
        if selections[0].objective != "explained variance":
            values, bounds = (
                np.concatenate([getattr(part, name) for part in selections]) for name in ("values", "bounds")
            )
            bounds[: len(self.question.must)] = np.nan
            columns = {"criterion": values.round(6), "criterion_bound": bounds.round(6)}
        if self.costs is not None:
            columns["cost"] = [self.costs[label] for label in picks.labels]
        columns["explained"] = explained.round(6)
        columns["teaches"] = [_largest(labels, row, row * worth, TARGETS_SHOWN) for row in shares[len(tested) :]]
        return Found(pd.DataFrame(columns), self._targets(picks, shares))

    def _targets(self, picks: Perturbations, shares: Float[np.ndarray, "experiments targets"]) -> pd.DataFrame:
        problem, tested = self.problem, self.question.tested
        experiments = tested.joined(picks)
        status = dict.fromkeys(picks.gene_sets(), "picked") | dict.fromkeys(tested.gene_sets(), "already tested")
        table = pd.DataFrame(
            {
                "target": problem.targets.labels,
                "weight": list(self.targets.values()),
                "remaining": (1 - shares.sum(0)).clip(0, 1).round(6),
                "status": [status.get(genes, "") for genes in problem.targets.gene_sets()],
                "taught_by": [_largest(experiments.labels, row, row, _TEACHERS_SHOWN) for row in shares.T],
            }
        )
        table = table.sort_values("remaining", ascending=False, kind="stable", ignore_index=True)
        table.insert(0, "rank", np.arange(1, len(table) + 1))
        return table

    def compare(self, plan: "Plan") -> Comparison:
        """What stays unknown after random picks and after those of the strategies that its own is compared with."""
        return super().compare(plan)._replace(own=remaining_variance(self, plan.picks, plan.must))

    def curve(self, plan: "Plan") -> pd.DataFrame:
        """What stays unknown after so much is spent, as a table."""
        remaining: Remaining = plan.comparison.own
        mean, low, high = band(remaining.random)
        shown = {"spent": remaining.spent, "remaining": remaining.design, "random": mean}
        return pd.DataFrame(shown | {"random_least": low, "random_most": high} | remaining.others)

    def record(self, plan: "Plan") -> dict[str, Any]:
        """What stays unknown, of the plan and of what it is compared with."""
        remaining: Remaining = plan.comparison.own
        ends = {name: curve[np.isfinite(curve)] for name, curve in remaining.others.items()}
        assert plan.targets is not None
        design = {
            "targets": len(self.problem.targets),
            "noise variance": self.problem.noise,
            "objective": plan.selections[-1].objective,
            "remaining variance before": float(remaining.design[0]),
            "remaining variance": float(remaining.design[-1]),
            "random": remaining.random[:, -1].tolist(),
            **{name: {"spent": float(remaining.spent[len(end) - 1]), "remaining variance": float(end[-1])}
               for name, end in ends.items()},
            "cost": self.cost(plan.picks),
            "least known": plan.targets["target"].head(LEAST_KNOWN).tolist(),
        }  # fmt: skip
        bound = plan.selections[-1].bounds[-1]
        if np.isfinite(bound):
            design |= {"value": float(plan.selections[-1].values[-1]), "bound": float(bound)}
        return {"design": design}

    def facts(self, result: dict[str, Any]) -> list[tuple[str, str]]:
        """What stays unknown."""
        design = result["design"]
        drawn = f"{100 * np.mean(design['random']):.1f} %"
        words = f"of the variance of {design['targets']:,} targets expected to remain; {drawn} with random picks"
        return [(f"{100 * design['remaining variance']:.1f} %", words)]

    def figure(self, plan: "Plan", title: str) -> bytes:
        """What stays unknown, in total and of each target."""
        unit = "perturbations picked" if self.costs is None else "cost of the perturbations picked"
        title = f"{title}; {len(self.problem.targets):,} targets"
        return design_figure(title, plan.comparison.own, self.question.name, unit)


@dataclass(frozen=True, eq=False)
class Remaining:
    """What stays unknown after some picks: the share of the targets' prior variance, from 1 down.

    Attributes:
        spent: numbers of picks, or what they cost together where costs are given: 0 to the budget.
        design: of the plan.
        random: one row per draw.
        others: of the strategies that it is compared with, by name; NaN where their curve has ended.
        per_target: what stays unknown of every target after the plan, and after the first random draw.
    """

    spent: Float[np.ndarray, " points"]
    design: Float[np.ndarray, " points"]
    random: Float[np.ndarray, "draws points"]
    others: dict[str, Float[np.ndarray, " points"]]
    per_target: tuple[Float[np.ndarray, " targets"], Float[np.ndarray, " targets"]]


def remaining_variance(learned: Learned, picks: Perturbations, first: Perturbations) -> Remaining:
    """The curves of a plan, of random picks, and of the strategies that its own is compared with.

    Args:
        learned: the problem, and the conditions of the plan.
        picks: the plan's, `first` included.
        first: what every selection begins with, in order.

    Complexity: O((draws + 3) x picks^3), and what the other strategies take.
    """
    question, pool, tested = learned.question, learned.question.pool, learned.question.tested
    budget, priced = question.budget, learned.costs is not None
    grid = np.linspace(0, budget, _GRID + 1) if priced else np.arange(budget + 1.0)

    def bought_of(order: Perturbations) -> tuple[Perturbations, np.ndarray]:
        """The first of an order that the budget buys, and what 0, 1, ... of them cost."""
        each = [1] * len(order) if learned.costs is None else [learned.costs[label] for label in order]
        money = np.cumsum([0.0, *each])
        most = int(np.searchsorted(money, budget * (1 + 1e-6), side="right"))
        return order.take(np.arange(most - 1)), money[:most]

    def curve(order: Perturbations, ends: bool = False) -> Float[np.ndarray, " points"]:
        affordable, money = bought_of(order)
        left = 1 - explained_fractions(learned.problem, tested.joined(affordable))[len(tested) :]
        bought = np.searchsorted(money, grid * (1 + 1e-6), side="right") - 1
        return np.where(ends & (grid > money[-1] * (1 + 1e-6)), np.nan, left[bought])

    most = len(pool) if priced else len(picks) - len(first)
    draws = [pool.take(np.random.default_rng(seed).permutation(len(pool))[:most]) for seed in range(RANDOM_DRAWS)]
    others = {}
    for name in question.strategy.compared:
        other = walking(name, {"hops": question.hops, "direction": question.direction})
        length = min(most, other.longest or most)
        taken = pool.take(np.zeros(0, np.int64))
        if length:
            taken = choose(other, Ask(question.graph, pool, tested.joined(first), length)).perturbations
        others[name] = curve(first.joined(taken), ends=length < most)
    return Remaining(
        spent=grid,
        design=curve(picks),
        random=np.stack([curve(first.joined(draw)) for draw in draws]),
        others=others,
        per_target=(_unknown(learned, picks), _unknown(learned, bought_of(first.joined(draws[0]))[0])),
    )


def walking(name: str, conditions: dict[str, object]) -> Any:
    """The strategy of a name, under those of the conditions that are options of it."""
    known = {one.name for one in options_of(STRATEGIES.get(name))}
    return make_strategy(name, {key: value for key, value in conditions.items() if key in known})


def _unknown(learned: Learned, picks: Perturbations) -> Float[np.ndarray, " targets"]:
    return (1 - explained_by_each(learned.problem, learned.question.tested.joined(picks)).sum(0)).clip(0, 1)


def _largest(labels: tuple[str, ...], shares: np.ndarray, worth: np.ndarray, most: int) -> str:
    """The labels with the largest worth, each with its share in per cent."""
    first = np.argsort(-worth, kind="stable")[:most]
    return "; ".join(f"{labels[i]} {shares[i]:.1%}" for i in first if shares[i] >= _LEAST_SHARE and worth[i] > 0)


def design_figure(title: str, remaining: Remaining, label: str, unit: str) -> bytes:
    """What stays unknown: in total against the number of picks, and of each target in the end, as a PNG.

    Args:
        title: above both panels.
        remaining: the curves.
        label: the strategy's name in the legend.
        unit: what is spent: perturbations, or money.
    """
    with canvas(title, (10.0, 4.4)) as (figure, output):
        left, right = figure.subplots(1, 2, width_ratios=[1.2, 1])
        mean, low, high = (100 * part for part in band(remaining.random))
        left.fill_between(remaining.spent, low, high, color=RANDOM, alpha=0.25, linewidth=0)
        left.plot(remaining.spent, 100 * remaining.design, color=SELECTION, linewidth=2.6, label=label)
        drawn = f"random (mean and range of {len(remaining.random)} draws)"
        left.plot(remaining.spent, mean, color=RANDOM, linestyle=":", label=drawn)
        for (name, curve), (color, line) in zip(remaining.others.items(), _OTHERS, strict=False):
            left.plot(remaining.spent, 100 * curve, color=color, linestyle=line, label=name)
        left.set(title="Expected remaining variance", xlabel=unit, ylabel="per cent of the prior variance")
        left.set(xlim=(0, remaining.spent[-1]))
        of_plan, of_random = (100 * np.sort(part)[::-1] for part in remaining.per_target)
        targets = np.arange(1, len(of_plan) + 1)
        right.plot(targets, of_random, color=RANDOM, linestyle=":")
        right.plot(targets, of_plan, color=SELECTION, linewidth=2.6)
        right.set(title="Of each target after the last pick", xlabel="targets, least known first", ylim=(0, 102))
        right.set(ylabel="per cent of its prior variance", xlim=(0, len(targets)))
        right.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    return output.getvalue()
