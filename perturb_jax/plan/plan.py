"""A screen's plan: candidates, must-haves and what was tested before, turned into ranked picks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from perturb_jax.genes.perturbations import Perturbations, parse_perturbations
from perturb_jax.genes.symbols import Unknown
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.plan.design import Design, check_money, design_columns, state_design
from perturb_jax.plan.robust import Noise, Robustness, robustness
from perturb_jax.selection.selection import Selection
from perturb_jax.strategies.choose import choose, in_order
from perturb_jax.strategies.registry import STRATEGIES, make_strategy, one_shot_names
from perturb_jax.strategies.strategy import Ask
from perturb_jax.support.checks import check_hops
from perturb_jax.support.errors import InputError
from perturb_jax.support.options import options_of

DEFAULT_CYCLES = 5
DEFAULT_STRATEGY = "graphdesign"
"""What gained most over random picks on real outcomes (`experiments/README.md`)."""


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    Attributes:
        candidates: genes or combinations "A+B" that may be perturbed.
        budget: perturbations to choose, `must_include` among them; with the option "costs", what they may cost.
        strategy: a name in `STRATEGIES`.
        hops: layers of graph convolution of the model that will be trained.
        direction: "in", "out" or "both".
        must_include: these rank first, in the strategy's order.
        already_tested: these count as covered and never appear.
        exclude: these never appear; without "A", "A+B" still may.
        cycles: rounds into which the picks are divided, the earlier ones larger by one where it does not come out
            even; None: five, or one per pick where there are fewer.
        seed: for ties, and for random strategies.
        options: further arguments of the strategy (see `OPTIONS`).
        unknown: "error", or "drop" to leave out and report names that are not in the graph.
        robust: choose for the mean over noisy copies of the graph; GraphReach only.
    """

    candidates: Sequence[str]
    budget: int
    strategy: str = DEFAULT_STRATEGY
    hops: int = 1
    direction: Direction = "in"
    must_include: Sequence[str] = ()
    already_tested: Sequence[str] = ()
    exclude: Sequence[str] = ()
    cycles: int | None = None
    seed: int | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    unknown: Unknown = "error"
    robust: Noise | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """The answer to a `Request`.

    Attributes:
        table: one row per pick: rank, gene, cycle, gain (genes newly reached, in its layer), covered,
            covered_fraction, layer, bound; with MaxSpec also sigma, the spectral norm after the pick; with
            GraphDesign also cost, explained and teaches (see `design_columns`), and where another criterion than the
            explained variance decides, criterion and criterion_bound; with noisy copies of the graph also
            mean_covered, mean_bound and frequency (see `Robustness`).
        must: the must-haves, in the order picked.
        pool: the candidates that the rest was chosen from.
        tested: what counted as covered.
        selections: what the strategy returned, for the must-haves and for the rest.
        renamed: old symbols that were given, with the current names.
        dropped: names left out, with the reason.
        design: the design problem, where the plan is GraphDesign's.
        targets: one row per target of the design, least known first (see `design_columns`).
        robustness: how the picks do on noisy copies of the graph, where the request asks for them.
        warnings: what a user should know before trusting the plan.
    """

    table: pd.DataFrame
    must: Perturbations
    pool: Perturbations
    tested: Perturbations
    selections: tuple[Selection, ...]
    renamed: dict[str, str]
    dropped: dict[str, str]
    design: Design | None
    targets: pd.DataFrame | None
    robustness: Robustness | None
    warnings: tuple[str, ...]


def make_plan(graph: KnowledgeGraph, request: Request) -> Plan:
    """Choose and rank the perturbations of a screen.

    Must-haves rank first and use budget; already tested ones count as covered and never appear. The bound of a row
    holds for every selection of that many picks that begins with the must-haves.

    Raises:
        InputError: anything in the request that cannot be used.
    """
    _strategy(request, request.options)
    check_hops(request.hops)
    given, must, tested, excluded = (
        _parse(graph, option, getattr(request, option), request.unknown)
        for option in ("candidates", "must_include", "already_tested", "exclude")
    )
    _refuse_overlap("must-include", must, "exclude", excluded)
    _refuse_overlap("must-include", must, "already-tested", tested)
    pool = given.without(tested).without(excluded).without(must)
    priced = request.options.get("costs") is not None
    if not priced:
        _check_budget(request.budget, len(must), len(pool))
    design = None
    if request.strategy == "graphdesign":
        wanted = must.joined(given.without(must))
        conditions = (request.hops, request.direction, request.options, request.unknown)
        design = state_design(graph, wanted, must.joined(pool), *conditions)
        if priced:
            check_money(design, must, request.budget)
    copies = None if request.robust is None else request.robust.graphs(graph)
    selections = _select(graph, request, must, pool, tested, design)
    if len(must):
        must = must.take(np.array([must.labels.index(gene) for gene in selections[0].genes]))
    table = _table(graph, request, selections, tested, must_haves=len(must))
    targets = None
    if design is not None:
        more, targets = design_columns(design, tested, parse_perturbations(graph.names, table["gene"]))
        table = pd.concat([table, more], axis=1)
    robust = None
    if copies is not None:
        asked = (must, pool, tested, request.hops, request.direction, request.seed)
        robust = robustness(graph, copies, selections, *asked, **request.options)  # type: ignore[arg-type]
        table = pd.concat([table, robust.columns()], axis=1)
    named = (given, must, tested, excluded) if design is None else (given, must, tested, excluded, design)
    return Plan(
        table=table,
        must=must,
        pool=pool,
        tested=tested,
        selections=selections,
        renamed={old: new for names in named for old, new in names.renamed.items()},
        dropped={name: reason for names in named for name, reason in names.dropped.items()},
        design=design,
        targets=targets,
        robustness=robust,
        warnings=_warnings(graph, must, pool),
    )


def _parse(graph: KnowledgeGraph, option: str, names: Sequence[str], unknown: Unknown) -> Perturbations:
    try:
        return parse_perturbations(graph.names, names, unknown)
    except InputError as error:
        raise InputError(f"{option.replace('_', '-')}: {error}") from None


def _strategy(request: Request, options: Mapping[str, object]) -> Any:
    """The strategy with its options; hops and direction are among them where it has such."""
    if request.strategy not in one_shot_names() and ".py:" not in request.strategy:
        raise InputError(f"strategy: expected one of {', '.join(one_shot_names())}, got {request.strategy!r}")
    known = {one.name for one in options_of(STRATEGIES.get(request.strategy))}
    conditions = {"hops": request.hops, "direction": request.direction}
    noise = (
        {} if request.robust is None else dict(zip(("robust", "dropout", "dropout_seed"), request.robust, strict=True))
    )
    if noise and "robust" not in known:
        raise InputError(f"robust: not for the strategy {request.strategy}; omit it or choose strategy graphreach")
    return make_strategy(
        request.strategy, {name: value for name, value in conditions.items() if name in known} | noise | options
    )


def _select(
    graph: KnowledgeGraph, request: Request, must: Perturbations, pool: Perturbations, tested: Perturbations,
    design: Design | None,
) -> tuple[Selection, ...]:  # fmt: skip
    options = dict(request.options if design is None else design.options)
    left = request.budget - (len(must) if design is None else design.cost(must.labels))
    covered = tested
    selections = []
    if len(must):
        free = {name: value for name, value in options.items() if name != "costs"}
        selections.append(_ask(graph, request, must, len(must), covered, free))
        covered = covered.joined(must)
    if _buys_more(design, pool, left) or not selections:
        selections.append(_ask(graph, request, pool, left, covered, options))
    if len(selections) == 2:
        selections[0] = _within_layer(selections[0], int(selections[1].layers[0]))
    return tuple(selections)


def _ask(
    graph: KnowledgeGraph, request: Request, candidates: Perturbations, budget: int | float, covered: Perturbations,
    options: Mapping[str, object],
) -> Selection:  # fmt: skip
    strategy = _strategy(request, options)
    return choose(strategy, Ask(graph, candidates, covered, budget, request.seed), request.hops, request.direction)


def _buys_more(design: Design | None, pool: Perturbations, left: int | float) -> bool:
    if design is None or design.costs is None:
        return left > 0
    return any(design.costs[label] <= left for label in pool.labels)


def _within_layer(picks: Selection, layer: int) -> Selection:
    """Must-haves beside the rest: while the rest still fills `layer`, those that begin a later one gain 0 in it."""
    return replace(
        picks, layers=np.minimum(picks.layers, layer), gains=np.where(picks.layers > layer, 0.0, picks.gains)
    )


def _table(
    graph: KnowledgeGraph, request: Request, selections: tuple[Selection, ...], tested: Perturbations, must_haves: int
) -> pd.DataFrame:
    genes = [gene for picks in selections for gene in picks.genes]
    ordered = parse_perturbations(graph.names, genes)
    coverage = in_order(graph, ordered, tested, request.hops, request.direction, request.strategy)
    gains, values, bounds, layers = (
        np.concatenate([getattr(picks, part) for picks in selections])
        for part in ("gains", "values", "bounds", "layers")
    )
    bounds[:must_haves] = np.nan
    objective = selections[0].objective
    is_coverage = objective == "coverage"
    table = pd.DataFrame(
        {
            "rank": np.arange(1, len(genes) + 1),
            "gene": genes,
            "cycle": _cycles(len(genes), request.cycles),
            "gain": (gains if is_coverage else coverage.gains).astype(int),
            "covered": coverage.values.astype(int),
            "covered_fraction": (coverage.values / graph.num_nodes).round(6),
            "layer": layers,
            "bound": pd.array(bounds if is_coverage else np.full(len(genes), np.nan), dtype="Int64"),
        }
    )
    if objective == "spectral norm":
        table["sigma"] = values.round(6)
    elif objective in ("information", "facility location", "soft coverage"):
        table["criterion"], table["criterion_bound"] = values.round(6), bounds.round(6)
    return table


def _cycles(picks: int, cycles: int | None) -> np.ndarray:
    cycles = min(DEFAULT_CYCLES, picks) if cycles is None else cycles
    if not 1 <= cycles <= picks:
        raise InputError(f"cycles: expected a whole number from 1 to the {picks} picks, got {cycles}")
    return np.repeat(np.arange(1, cycles + 1), [len(part) for part in np.array_split(np.arange(picks), cycles)])


def _check_budget(budget: int, must: int, pool: int) -> None:
    if budget < 1:
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
        raise InputError(f"{', '.join(both[:5])}: in both --{one_name} and --{other_name}; leave it in one of them")


def _warnings(graph: KnowledgeGraph, must: Perturbations, pool: Perturbations) -> tuple[str, ...]:
    is_candidate = np.zeros(graph.num_nodes + 1, bool)  # the last for NO_MEMBER, which no edge names
    is_candidate[pool.members] = True
    is_candidate[must.members] = True
    senders, receivers = np.asarray(graph.senders), np.asarray(graph.receivers)
    between = is_candidate[senders] & is_candidate[receivers] & (senders != receivers)
    if between.any():
        return ()
    return ("the graph has no edge between two candidates: check that graph and candidates belong together",)
