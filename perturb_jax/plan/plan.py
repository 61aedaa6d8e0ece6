"""A screen's plan: candidates, must-haves and what was tested before, turned into ranked picks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perturb_jax.genes.perturbations import Perturbations, parse_perturbations
from perturb_jax.genes.symbols import Unknown
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.plan.evidence import EVIDENCE, Comparison, Found, Question
from perturb_jax.selection.selection import Selection
from perturb_jax.strategies.choose import choose, in_order
from perturb_jax.strategies.registry import STRATEGIES, make_strategy, name_of, one_shot_names
from perturb_jax.strategies.strategy import Ask, Strategy, check_strategy, costs_of, parts_of
from perturb_jax.support.checks import check_hops, is_whole
from perturb_jax.support.errors import InputError
from perturb_jax.support.options import options_of

if TYPE_CHECKING:
    from perturb_jax.plan.coverage import Coverage

DEFAULT_CYCLES = 5
DEFAULT_STRATEGY = "graphdesign"
"""What gained most over random picks on real outcomes (`experiments/README.md`)."""


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    Attributes:
        candidates: genes or combinations "A+B" that may be perturbed.
        budget: perturbations to choose, `must_include` among them; where the
            strategy has costs, what they may cost.
        strategy: a name in `STRATEGIES`, or "FILE.py:NAME", or an instance.
        hops: layers of graph convolution of the model that will be trained; an instance that has `hops` has its own.
        direction: "in", "out" or "both"; an instance that has `direction` has its own.
        must_include: these rank first, in the strategy's order.
        already_tested: these count as covered and never appear.
        exclude: these never appear; without "A", "A+B" still may.
        cycles: rounds into which the picks are divided, the earlier ones larger by one where it does not come out
            even; None: five, or one per pick where there are fewer.
        seed: for ties, and for random strategies.
        options: of a strategy that is given by name, as TOML has them.
        unknown: "error", or "drop" to leave out and report names that are not in the graph.
    """

    candidates: Sequence[str]
    budget: int | float
    strategy: Any = DEFAULT_STRATEGY
    hops: int = 1
    direction: Direction = "in"
    must_include: Sequence[str] = ()
    already_tested: Sequence[str] = ()
    exclude: Sequence[str] = ()
    cycles: int | None = None
    seed: int | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    unknown: Unknown = "error"


@dataclass(frozen=True, eq=False)
class Plan:
    """The answer to a `Request`.

    Attributes:
        table: one row per pick: rank, gene, cycle, gain (genes newly reached, in its layer), covered,
            covered_fraction, layer, bound; and the columns of the strategy's evidence: with MaxSpec sigma, the spectral
            norm after the pick; with GraphDesign cost, explained and teaches (see `Learned.found`); with noisy copies
            of the graph mean_covered, mean_bound and frequency (see `Robustness`).
        picks: the perturbations of the table.
        must: the must-haves, in the order picked.
        pool: the candidates that the rest was chosen from.
        tested: what counted as covered.
        selections: what the strategy returned, for the must-haves and for the rest.
        renamed: old symbols that were given, with the current names.
        dropped: names left out, with the reason.
        evidence: what the picks are shown with.
        found: what it says of them.
        warnings: what a user should know before trusting the plan.
    """

    table: pd.DataFrame
    picks: Perturbations
    must: Perturbations
    pool: Perturbations
    tested: Perturbations
    selections: tuple[Selection, ...]
    renamed: dict[str, str]
    dropped: dict[str, str]
    evidence: "Coverage"
    found: Found
    warnings: tuple[str, ...]

    @property
    def targets(self) -> pd.DataFrame | None:
        """One row per target of a design, least known first (see `Learned.found`); None where there are no targets."""
        return self.found.targets

    @cached_property
    def comparison(self) -> Comparison:
        """What the picks are compared with; made when it is first read, which takes longer than the choice."""
        return self.evidence.compare(self)

    @cached_property
    def curve(self) -> pd.DataFrame:
        """The plan against what it is compared with: a row per number of picks, or per amount spent."""
        return self.evidence.curve(self)


def make_plan(graph: KnowledgeGraph, request: Request) -> Plan:
    """Choose and rank the perturbations of a screen.

    Must-haves rank first and use budget; already tested ones count as covered and never appear. The bound of a row
    holds for every selection of that many picks that begins with the must-haves.

    Raises:
        InputError: anything in the request that cannot be used.
    """
    strategy = _strategy(request)
    hops, direction = getattr(strategy, "hops", request.hops), getattr(strategy, "direction", request.direction)
    check_hops(hops)
    given, must, tested, excluded = (
        _parse(graph, option, getattr(request, option), request.unknown)
        for option in ("candidates", "must_include", "already_tested", "exclude")
    )
    _refuse_overlap("must_include", must, "exclude", excluded)
    _refuse_overlap("must_include", must, "already_tested", tested)
    pool = given.without(tested).without(excluded).without(must)
    if costs_of(strategy) is None:
        _check_budget(request.budget, len(must), len(pool))
    kind = getattr(strategy, "evidence", Strategy.evidence)
    question = Question(
        graph, strategy, strategy_name(request), request.budget, given, must, pool, tested, hops, direction,
        request.seed, request.unknown,
    )  # fmt: skip
    evidence: Coverage = EVIDENCE.get(kind)(question)
    selections = _select(question, evidence)
    if len(must):
        must = selections[0].perturbations
    picks = must if len(selections) == 1 and len(must) else selections[-1].perturbations
    if len(selections) == 2:
        picks = must.joined(picks)
    found = evidence.found(picks, selections)
    named = (given, must, tested, excluded, *evidence.named)
    return Plan(
        table=pd.concat([_table(question, picks, selections, request.cycles), found.columns], axis=1),
        picks=picks,
        must=must,
        pool=pool,
        tested=tested,
        selections=selections,
        renamed={old: new for names in named for old, new in names.renamed.items()},
        dropped={name: reason for names in named for name, reason in names.dropped.items()},
        evidence=evidence,
        found=found,
        warnings=_warnings(graph, must, pool),
    )


def strategy_name(request: Request) -> str:
    """What the strategy of a request is called."""
    return request.strategy if isinstance(request.strategy, str) else name_of(request.strategy)


def _strategy(request: Request) -> Any:
    """The strategy with its options; hops and direction are among them where it has such."""
    strategy = request.strategy
    if isinstance(strategy, str):
        cls = STRATEGIES.get(strategy)
        known = {one.name for one in options_of(cls)} if hasattr(cls, "__dataclass_fields__") else set()
        conditions: dict[str, object] = {"hops": request.hops, "direction": request.direction}
        strategy = make_strategy(
            strategy, {name: value for name, value in conditions.items() if name in known} | dict(request.options)
        )
    elif request.options:
        raise InputError("options: expected none beside an instance of a strategy, which has its own; omit them")
    check_strategy(strategy)
    if parts_of(strategy):
        raise InputError(
            f"strategy: {strategy_name(request)} reads a fitted predictor, and before the first experiments there is "
            f"none; expected one of {', '.join(one_shot_names())}"
        )
    return strategy


def _parse(graph: KnowledgeGraph, option: str, names: Sequence[str], unknown: Unknown) -> Perturbations:
    try:
        return parse_perturbations(graph.names, names, unknown)
    except InputError as error:
        raise InputError(f"{option}: {error}") from None


def _select(question: Question, evidence: "Coverage") -> tuple[Selection, ...]:
    must, covered = question.must, question.tested
    left = question.budget - evidence.cost(must)
    conditions = (question.hops, question.direction)
    selections = []
    if len(must):
        ask = Ask(question.graph, must, covered, len(must), question.seed, kernel=question.kernel)
        selections.append(choose(evidence.asked(first=True), ask, *conditions))
        covered = covered.joined(must)
    if evidence.buys_more(left) or not selections:
        ask = Ask(question.graph, question.pool, covered, left, question.seed, kernel=question.kernel)
        selections.append(choose(evidence.asked(first=False), ask, *conditions))
    if len(selections) == 2:
        selections[0] = _within_layer(selections[0], int(selections[1].layers[0]))
    return tuple(selections)


def _within_layer(picks: Selection, layer: int) -> Selection:
    """Must-haves beside the rest: while the rest still fills `layer`, those that begin a later one gain 0 in it."""
    return replace(
        picks, layers=np.minimum(picks.layers, layer), gains=np.where(picks.layers > layer, 0.0, picks.gains)
    )


def _table(
    question: Question, picks: Perturbations, selections: tuple[Selection, ...], cycles: int | None
) -> pd.DataFrame:
    graph = question.graph
    coverage = in_order(graph, picks, question.tested, question.hops, question.direction, question.name)
    gains, bounds, layers = (
        np.concatenate([getattr(part, name) for part in selections]) for name in ("gains", "bounds", "layers")
    )
    bounds[: len(question.must)] = np.nan
    is_coverage = selections[0].objective == coverage.objective
    return pd.DataFrame(
        {
            "rank": np.arange(1, len(picks) + 1),
            "gene": list(picks),
            "cycle": _cycles(len(picks), cycles),
            "gain": (gains if is_coverage else coverage.gains).astype(int),
            "covered": coverage.values.astype(int),
            "covered_fraction": (coverage.values / graph.num_nodes).round(6),
            "layer": layers,
            "bound": pd.array(bounds if is_coverage else np.full(len(picks), np.nan), dtype="Int64"),
        }
    )


def _cycles(picks: int, cycles: int | None) -> np.ndarray:
    cycles = min(DEFAULT_CYCLES, picks) if cycles is None else cycles
    if not 1 <= cycles <= picks:
        raise InputError(f"cycles: expected a whole number from 1 to the {picks} picks, got {cycles}")
    return np.repeat(np.arange(1, cycles + 1), [len(part) for part in np.array_split(np.arange(picks), cycles)])


def _check_budget(budget: int | float, must: int, pool: int) -> None:
    if not is_whole(budget) or budget < 1:
        raise InputError(f"budget: expected a whole number of at least 1, got {budget}")
    if budget < must:
        raise InputError(f"budget: {budget} is less than the {must} must-include genes; raise the budget")
    if must + pool == 0:
        raise InputError(
            "candidates: none can be picked: all are left out as unknown, already tested or excluded; add candidates"
        )
    if budget > must + pool:
        raise InputError(
            f"budget: {budget} picks asked for, but only {must + pool} candidates can be picked (already tested and "
            "excluded ones do not count); lower the budget or add candidates"
        )


def _refuse_overlap(one_name: str, one: Perturbations, other_name: str, other: Perturbations) -> None:
    both = [label for label, genes in zip(one.labels, one.gene_sets(), strict=True) if genes in other.gene_sets()]
    if both:
        raise InputError(f"{', '.join(both[:5])}: in both {one_name} and {other_name}; keep it in one of them")


def _warnings(graph: KnowledgeGraph, must: Perturbations, pool: Perturbations) -> tuple[str, ...]:
    is_candidate = np.zeros(graph.num_nodes + 1, bool)  # the last for NO_MEMBER, which no edge names
    is_candidate[pool.members] = True
    is_candidate[must.members] = True
    senders, receivers = np.asarray(graph.senders), np.asarray(graph.receivers)
    between = is_candidate[senders] & is_candidate[receivers] & (senders != receivers)
    if between.any():
        return ()
    return ("the graph has no edge between two candidates: check that graph and candidates belong together",)
