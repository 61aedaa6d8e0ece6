"""Plans: what a user wants to know, turned into ranked picks with the evidence for them.

A strategy names the kind of its evidence (`Strategy.evidence`): columns beside the picks, curves to compare them with,
a picture, a part of the record. Every kind is a class that derives from `Coverage`, which is what a strategy gets that
names none; one line in `EVIDENCE` gives it its name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from perturb_jax.genes.perturbations import Perturbations, parse_perturbations
from perturb_jax.genes.symbols import Unknown
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph, Provenance, make_graph
from perturb_jax.kernel.graph import check_source
from perturb_jax.kernel.kernel import Kernel
from perturb_jax.selection.selection import Selection
from perturb_jax.strategies.choose import choose
from perturb_jax.strategies.registry import STRATEGIES, make_strategy, name_of, one_shot_names
from perturb_jax.strategies.strategy import Ask, Strategy, check_strategy, costs_of, parts_of
from perturb_jax.support.checks import check_count
from perturb_jax.support.errors import InputError, prefixed
from perturb_jax.support.options import options_of
from perturb_jax.support.registry import Registry

if TYPE_CHECKING:
    from perturb_jax.plan.coverage import Coverage

EVIDENCE: Registry[Any] = Registry(
    "evidence",
    {
        "coverage": "perturb_jax.plan.coverage:Coverage",
        "spectral": "perturb_jax.plan.spectral:Spectral",
        "design": "perturb_jax.plan.design:Learned",
        "robust": "perturb_jax.plan.coverage:Robust",
    },
    "perturb_jax.evidence",
)
"""Kinds of evidence by name."""

DEFAULT_CYCLES = 5
DEFAULT_STRATEGY = "graphdesign"
"""What gained most over random picks on real outcomes (`experiments/README.md`)."""


@dataclass(frozen=True)
class Request:
    """What a plan is wanted for.

    Attributes:
        candidates: genes or combinations "A+B" that may be perturbed.
        budget: perturbations to choose, `must_include` among them; where the strategy has costs, what they may cost.
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


class Found(NamedTuple):
    """What a kind of evidence says of the picks: columns of their table, a row per target, details for the record."""

    columns: pd.DataFrame
    targets: pd.DataFrame | None = None
    details: Any = None


class Comparison(NamedTuple):
    """What the picks are compared with: curves of coverage, with that of all candidates together, and evidence's own.

    `at_random` is what stays unknown of every target after the first random draw.
    """

    coverage: Any = None
    reachable: int = 0
    own: Any = None
    at_random: Any = None


@dataclass(frozen=True, eq=False)
class Plan:
    """The answer to a `Request`.

    Attributes:
        table: one row per pick: rank, gene, cycle; on a graph gain (genes newly reached, in its layer), covered,
            covered_fraction, layer, bound; and the columns of the strategy's evidence: with MaxSpec sigma, the spectral
            norm after the pick; with GraphDesign, and with any kernel, cost, explained and informs (see
            `Learned.found`); with noisy copies of the graph mean_covered, mean_bound and frequency (see
            `Robust.found`).
        picks: the perturbations of the table.
        must: the must-haves, in the order picked.
        selections: what the strategy returned, for the must-haves and for the rest.
        renamed: old symbols that were given, with the current names.
        dropped: names left out, with the reason.
        evidence: what the picks are shown with.
        targets: one row per target of a design, least known first (see `Learned.found`); None where there are none.
        details: what else the evidence found, for the record.
        warnings: what a user should know before trusting the plan.
    """

    table: pd.DataFrame
    picks: Perturbations
    must: Perturbations
    selections: tuple[Selection, ...]
    renamed: dict[str, str]
    dropped: dict[str, str]
    evidence: "Coverage"
    targets: pd.DataFrame | None
    details: Any
    warnings: tuple[str, ...]

    @property
    def pool(self) -> Perturbations:
        """The candidates that all but the must-haves were chosen from."""
        return self.evidence.pool

    @property
    def tested(self) -> Perturbations:
        """What counted as covered."""
        return self.evidence.tested

    @cached_property
    def comparison(self) -> Comparison:
        """What the picks are compared with; made when it is first read, which takes longer than the choice."""
        return self.evidence.compare(self)

    @cached_property
    def curve(self) -> pd.DataFrame:
        """The plan against what it is compared with: a row per number of picks, or per amount spent."""
        return self.evidence.curve(self)


def make_plan(source: KnowledgeGraph | Kernel, request: Request) -> Plan:
    """Choose and rank the perturbations of a screen.

    Must-haves rank first and use budget; already tested ones count as covered and never appear. The bound of a row
    holds for every selection of that many picks that begins with the must-haves. With a kernel, picks are shown with
    what they explain of the targets, whatever strategy made them, and nothing is covered.

    Args:
        source: a knowledge graph, or a kernel for strategies that need no graph.
        request: what is wanted.

    Raises:
        InputError: neither graph nor kernel; anything in the request that cannot be used; a kernel with a strategy that
            reads a graph.

    Examples:
        >>> import numpy as np, perturb_jax as pj
        >>> kernel = pj.DenseKernel(["A", "B", "C"], [[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])
        >>> pj.make_plan(kernel, pj.Request(kernel.genes, 2)).table["gene"].tolist()
        ['A', 'C']
    """
    check_source(source)
    kernel = source if isinstance(source, Kernel) else None
    graph = source if isinstance(source, KnowledgeGraph) else _genes_of(source)
    strategy = _strategy(request)
    name = strategy_name(request)
    if kernel is not None and needs_graph(strategy):
        others = [one for one in one_shot_names() if not needs_graph(STRATEGIES.get(one))]
        raise InputError(
            f"strategy: {name} reads a knowledge graph, and a kernel was given; give a graph, or choose "
            f"{' or '.join(others)}"
        )
    hops, direction = getattr(strategy, "hops", request.hops), getattr(strategy, "direction", request.direction)
    check_count("hops", hops)
    given, must, tested, excluded = (
        _parse(graph, option, getattr(request, option), request.unknown)
        for option in ("candidates", "must_include", "already_tested", "exclude")
    )
    _refuse_overlap("must_include", must, "exclude", excluded)
    _refuse_overlap("must_include", must, "already_tested", tested)
    pool = given.without(tested).without(excluded).without(must)
    if costs_of(strategy) is None:
        _check_budget(request.budget, len(must), len(pool))
    kind = getattr(strategy, "evidence", Strategy.evidence) if kernel is None else "design"
    question = (request, strategy, name, graph, kernel, given, must, pool, tested, hops, direction)
    evidence: Coverage = EVIDENCE.get(kind)(*question)
    selections = _select(evidence)
    if len(must):
        must = selections[0].perturbations
    picks = must.joined(selections[1].perturbations) if len(selections) == 2 else selections[0].perturbations
    columns, targets, details = evidence.found(picks, selections)
    order = {"rank": np.arange(1, len(picks) + 1), "gene": list(picks), "cycle": _cycles(len(picks), request.cycles)}
    named = (given, must, tested, excluded, *evidence.named)
    return Plan(
        table=pd.concat([pd.DataFrame(order), columns], axis=1),
        picks=picks,
        must=must,
        selections=selections,
        renamed={old: new for names in named for old, new in names.renamed.items()},
        dropped={name: reason for names in named for name, reason in names.dropped.items()},
        evidence=evidence,
        targets=targets,
        details=details,
        warnings=_warnings(graph, must.joined(pool)) if kernel is None else (),
    )


def strategy_name(request: Request) -> str:
    """What the strategy of a request is called."""
    return request.strategy if isinstance(request.strategy, str) else name_of(request.strategy)


def needs_graph(strategy: Any) -> bool:
    """Whether a strategy, or a class of them, reads the edges of the graph: see `Strategy.needs_graph`."""
    return bool(getattr(strategy, "needs_graph", Strategy.needs_graph))


def under(conditions: Mapping[str, object], name: str, options: Mapping[str, object] = {}) -> Any:
    """The strategy of a name with options, and under those of the conditions that are options of it."""
    cls = STRATEGIES.get(name)
    known = {one.name for one in options_of(cls)} if hasattr(cls, "__dataclass_fields__") else set()
    return make_strategy(name, {key: value for key, value in conditions.items() if key in known} | dict(options))


def _genes_of(kernel: Kernel) -> KnowledgeGraph:
    """The genes of a kernel as a graph without edges."""
    nothing = np.zeros(0)
    graph = make_graph(nothing, nothing, nothing, kernel.genes, provenance=Provenance(f"kernel: {kernel.label}"))
    return replace(graph, names=kernel.names)


def _strategy(request: Request) -> Any:
    """The strategy with its options; hops and direction are among them where it has such."""
    strategy = request.strategy
    if isinstance(strategy, str):
        strategy = under({"hops": request.hops, "direction": request.direction}, strategy, request.options)
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
    with prefixed(f"{option}: "):
        return parse_perturbations(graph.names, names, unknown)


def _select(evidence: "Coverage") -> tuple[Selection, ...]:
    """What the strategy picks of the must-haves, in its order, and then of the rest."""
    selections = []
    left = evidence.request.budget - evidence.cost(evidence.must)
    steps: list[tuple[Perturbations, int | float, Perturbations]] = []
    if len(evidence.must):
        steps.append((evidence.must, len(evidence.must), evidence.tested))
    buys_more = left > 0 if evidence.costs is None else any(evidence.costs[label] <= left for label in evidence.pool)
    if buys_more or not steps:
        steps.append((evidence.pool, left, evidence.tested.joined(evidence.must)))
    for candidates, budget, before in steps:
        ask = Ask(evidence.graph, candidates, before, budget, evidence.request.seed, kernel=evidence.kernel)
        strategy = evidence.strategy_for(candidates)
        selections.append(choose(strategy, ask, evidence.hops, evidence.direction))
    if len(selections) == 2:  # while the rest still fills a layer, must-haves that begin a later one gain 0 in it
        must, layer = selections[0], selections[1].layers[0]
        gains = np.where(must.layers > layer, 0.0, must.gains)
        selections[0] = replace(must, layers=np.minimum(must.layers, layer), gains=gains)
    return tuple(selections)


def _cycles(picks: int, cycles: int | None) -> np.ndarray:
    cycles = min(DEFAULT_CYCLES, picks) if cycles is None else cycles
    if not 1 <= cycles <= picks:
        raise InputError(f"cycles: expected a whole number from 1 to the {picks} picks, got {cycles}")
    return np.repeat(np.arange(1, cycles + 1), [len(part) for part in np.array_split(np.arange(picks), cycles)])


def _check_budget(budget: int | float, must: int, pool: int) -> None:
    check_count("budget", budget)
    if budget < must:
        raise InputError(f"budget: {budget} is less than the {must} must-include genes; raise the budget")
    if must + pool == 0:
        raise InputError(
            "candidates: none can be picked: all are left out as unknown, already tested or excluded; add candidates"
        )
    if budget > must + pool:
        raise InputError(
            f"budget: {budget} picks are wanted, but only {must + pool} candidates can be picked (already tested and "
            "excluded ones do not count); lower the budget or add candidates"
        )


def _refuse_overlap(one_name: str, one: Perturbations, other_name: str, other: Perturbations) -> None:
    both = [label for label, genes in zip(one.labels, one.gene_sets(), strict=True) if genes in other.gene_sets()]
    if both:
        raise InputError(f"{', '.join(both[:5])}: in both {one_name} and {other_name}; keep it in one of them")


def _warnings(graph: KnowledgeGraph, candidates: Perturbations) -> tuple[str, ...]:
    is_candidate = np.zeros(graph.num_nodes + 1, bool)  # the last for NO_MEMBER, which no edge names
    is_candidate[candidates.members] = True
    senders, receivers = np.asarray(graph.senders), np.asarray(graph.receivers)
    between = is_candidate[senders] & is_candidate[receivers] & (senders != receivers)
    if between.any():
        return ()
    return ("the graph has no edge between two candidates: check that graph and candidates belong together",)
