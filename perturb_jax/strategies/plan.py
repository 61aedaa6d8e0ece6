"""A screen's plan: candidates, must-haves and what was tested before, turned into ranked picks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from perturb_jax.errors import InputError
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.graph.names import Unknown
from perturb_jax.selection.candidates import Candidates, parse_candidates
from perturb_jax.selection.reach import check_hops
from perturb_jax.selection.selection import Selection
from perturb_jax.strategies import OPTIONS, STRATEGIES
from perturb_jax.strategies.order import as_selection

DEFAULT_CYCLES = 5


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    Attributes:
        candidates: genes or combinations "A+B" that may be perturbed.
        budget: perturbations to choose, `must_include` among them.
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
    """

    candidates: Sequence[str]
    budget: int
    strategy: str = "graphreach"
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
            covered_fraction, layer, bound; with MaxSpec also sigma, the spectral norm after the pick.
        must: the must-haves, in the order picked.
        pool: the candidates that the rest was chosen from.
        tested: what counted as covered.
        selections: what the strategy returned, for the must-haves and for the rest.
        renamed: old symbols that were given, with the current names.
        dropped: names left out, with the reason.
        warnings: what a user should know before trusting the plan.
    """

    table: pd.DataFrame
    must: Candidates
    pool: Candidates
    tested: Candidates
    selections: tuple[Selection, ...]
    renamed: dict[str, str]
    dropped: dict[str, str]
    warnings: tuple[str, ...]


def make_plan(graph: KnowledgeGraph, request: Request) -> Plan:
    """Choose and rank the perturbations of a screen.

    Must-haves rank first and use budget; already tested ones count as covered and never appear. The bound of a row
    holds for every selection of that many picks that begins with the must-haves.

    Raises:
        InputError: anything in the request that cannot be used.
    """
    if request.strategy not in STRATEGIES:
        raise InputError(f"strategy: expected one of {', '.join(STRATEGIES)}, got {request.strategy!r}")
    for option in request.options:
        if option not in OPTIONS.get(request.strategy, ()):
            raise InputError(f"{option}: not an option of the strategy {request.strategy}; leave it away")
    check_hops(request.hops)
    given, must, tested, excluded = (
        _parse(graph, option, getattr(request, option), request.unknown)
        for option in ("candidates", "must_include", "already_tested", "exclude")
    )
    _refuse_overlap("must-include", must, "exclude", excluded)
    _refuse_overlap("must-include", must, "already-tested", tested)
    pool = given.without(tested).without(excluded).without(must)
    _check_budget(request.budget, len(must), len(pool))
    cycle = _cycles(request.budget, request.cycles)
    selections = _select(graph, request, must, pool, tested)
    if len(must):
        must = must.take(np.array([must.labels.index(gene) for gene in selections[0].genes]))
    return Plan(
        table=_table(graph, request, selections, cycle, tested, must_haves=len(must)),
        must=must,
        pool=pool,
        tested=tested,
        selections=selections,
        renamed=given.renamed | must.renamed | tested.renamed | excluded.renamed,
        dropped=given.dropped | must.dropped | tested.dropped | excluded.dropped,
        warnings=_warnings(graph, must, pool),
    )


def _parse(graph: KnowledgeGraph, option: str, names: Sequence[str], unknown: Unknown) -> Candidates:
    try:
        return parse_candidates(graph, names, unknown)
    except InputError as error:
        raise InputError(f"{option.replace('_', '-')}: {error}") from None


def _select(
    graph: KnowledgeGraph, request: Request, must: Candidates, pool: Candidates, tested: Candidates
) -> tuple[Selection, ...]:
    strategy = STRATEGIES[request.strategy]
    covered: tuple[str, ...] = tested.labels
    selections = []
    for candidates, budget in ((must, len(must)), (pool, request.budget - len(must))):
        if budget:
            picks = strategy(
                graph,
                candidates.labels,
                budget,
                request.hops,
                request.direction,
                selected=covered,
                seed=request.seed,
                **request.options,
            )
            covered += picks.genes
            selections.append(picks)
    if len(selections) == 2:
        selections[0] = _within_layer(selections[0], int(selections[1].layers[0]))
    return tuple(selections)


def _within_layer(picks: Selection, layer: int) -> Selection:
    """Must-haves beside the rest: while the rest still fills `layer`, those that begin a later one gain 0 in it."""
    return replace(
        picks, layers=np.minimum(picks.layers, layer), gains=np.where(picks.layers > layer, 0.0, picks.gains)
    )


def _table(
    graph: KnowledgeGraph,
    request: Request,
    selections: tuple[Selection, ...],
    cycle: np.ndarray,
    tested: Candidates,
    must_haves: int,
) -> pd.DataFrame:
    genes = [gene for picks in selections for gene in picks.genes]
    in_order = parse_candidates(graph, genes)
    coverage = as_selection(
        graph, in_order, np.arange(len(genes)), request.hops, request.direction, tested.labels, request.strategy
    )
    is_coverage = selections[0].objective == "coverage"
    gains = np.concatenate([picks.gains for picks in selections]) if is_coverage else coverage.gains
    bounds = np.concatenate([picks.bounds for picks in selections])
    bounds[:must_haves] = np.nan
    table = pd.DataFrame(
        {
            "rank": np.arange(1, len(cycle) + 1),
            "gene": genes,
            "cycle": cycle,
            "gain": gains.astype(int),
            "covered": coverage.values.astype(int),
            "covered_fraction": (coverage.values / graph.num_nodes).round(6),
            "layer": np.concatenate([picks.layers for picks in selections]),
            "bound": pd.array(bounds, dtype="Int64"),
        }
    )
    if not is_coverage:
        table["sigma"] = np.concatenate([picks.values for picks in selections]).round(6)
    return table


def _cycles(budget: int, cycles: int | None) -> np.ndarray:
    cycles = min(DEFAULT_CYCLES, budget) if cycles is None else cycles
    if not 1 <= cycles <= budget:
        raise InputError(f"cycles: expected a whole number from 1 to the budget of {budget}, got {cycles}")
    return np.repeat(np.arange(1, cycles + 1), [len(part) for part in np.array_split(np.arange(budget), cycles)])


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


def _refuse_overlap(one_name: str, one: Candidates, other_name: str, other: Candidates) -> None:
    both = [label for label, genes in zip(one.labels, one.gene_sets(), strict=True) if genes in other.gene_sets()]
    if both:
        raise InputError(f"{', '.join(both[:5])}: in both --{one_name} and --{other_name}; leave it in one of them")


def _warnings(graph: KnowledgeGraph, must: Candidates, pool: Candidates) -> tuple[str, ...]:
    is_candidate = np.zeros(graph.num_nodes + 1, bool)  # the last for NO_MEMBER, which no edge names
    is_candidate[pool.members] = True
    is_candidate[must.members] = True
    senders, receivers = np.asarray(graph.senders), np.asarray(graph.receivers)
    between = is_candidate[senders] & is_candidate[receivers] & (senders != receivers)
    if between.any():
        return ()
    return ("the graph has no edge between two candidates: check that graph and candidates belong together",)
