"""What a strategy is: a frozen dataclass of options that chooses perturbations.

A one-shot strategy reads the knowledge graph alone; a model-based one also reads a view of the predictor that was
fitted to what is selected so far. Neither can be given an outcome. These modules load no JAX, pandas or SciPy before a
strategy chooses: their options are read to show the help of a command.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from perturb_jax.support.errors import InputError
from perturb_jax.support.options import Options, option

if TYPE_CHECKING:
    from perturb_jax.genes.perturbations import Perturbations
    from perturb_jax.graph.knowledge_graph import KnowledgeGraph
    from perturb_jax.selection.selection import Selection
    from perturb_jax.strategies.view import View


class Ask(NamedTuple):
    """The question to a strategy.

    Attributes:
        graph: the knowledge graph.
        candidates: what can be chosen, in a fixed order; nothing that is selected.
        selected: what is selected already, in the order picked.
        budget: how many to choose; where the strategy has costs, what they may cost together.
        seed: of the choice; None: as the strategy does without one.
        view: of the predictor fitted to what is selected; None where the strategy reads none.
        kernel: how similar the effects are expected to be; None: what the graph alone implies.
    """

    graph: "KnowledgeGraph"
    candidates: "Perturbations"
    selected: "Perturbations"
    budget: int | float
    seed: int | None = None
    view: "View | None" = None
    kernel: Any = None

    @classmethod
    def of(
        cls,
        graph: "KnowledgeGraph",
        candidates: Iterable[str] | None,
        budget: int | float,
        selected: Iterable[str] = (),
        seed: int | None = None,
        view: "View | None" = None,
        kernel: Any = None,
    ) -> "Ask":
        """The question about perturbations by name; `candidates` None: every gene of the graph.

        Raises:
            InputError: names that are malformed, repeated or not in the graph.
        """
        from perturb_jax.genes.perturbations import as_names, parse_perturbations

        pool = parse_perturbations(graph.names, candidates)
        before = parse_perturbations(graph.names, as_names(selected))
        return cls(graph, pool, before, budget, seed, view, kernel)


@dataclass(frozen=True)
class Strategy(Options):
    """What strategies inherit. A user's own needs nothing but a method `choose`; the rest is as it stands here.

    Attributes:
        evidence: the kind of evidence that it brings to a plan: a name in `perturb_jax.plan.plan.EVIDENCE`.
        needs_graph: whether it reads the edges of the graph; one that does not can plan with a kernel alone.
        compared: names of the strategies that a plan of it is compared with, where its evidence compares any.
        longest: picks after which its own curve ends where it is what another one is compared with; None: never.
    """

    evidence: ClassVar[str] = "coverage"
    needs_graph: ClassVar[bool] = True
    compared: ClassVar[tuple[str, ...]] = ()
    longest: ClassVar[int | None] = None

    def parts(self, cycle: int) -> tuple[str, ...]:  # noqa: ARG002  (for those that differ from cycle to cycle)
        """The parts of a view that it reads in a cycle (the first is 0), of `PARTS`; none: it needs no predictor.

        Cycles in a row that need no predictor are chosen together, so that a one-shot strategy chooses its whole
        order at once.
        """
        return ()

    def choose(self, ask: Ask) -> "Selection | Sequence[str]":
        """As many of the candidates as the budget says, in order: their names, or a selection with its evidence.

        Raises:
            InputError: what it cannot choose from.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class WithinHops(Strategy):
    """What strategies that walk the knowledge graph inherit: the model's depth, and along which edges."""

    hops: int = option(1, "Graph-convolution layers of the model that will be trained.", at_least=1)
    direction: Literal["in", "out", "both"] = option(
        "in", "A gene reaches what it reads ('in'), what reads it ('out'), or 'both'."
    )


def parts_of(strategy: Any, cycle: int = 0) -> tuple[str, ...]:
    """The parts of a view that a strategy reads in a cycle: see `Strategy.parts`."""
    return tuple(strategy.parts(cycle)) if hasattr(strategy, "parts") else ()


def is_one_shot(strategy: Any) -> bool:
    """Whether a strategy, or a class of them, reads the knowledge graph alone in every cycle."""
    cls = strategy if isinstance(strategy, type) else type(strategy)
    return getattr(cls, "parts", Strategy.parts) is Strategy.parts


def costs_of(strategy: Any) -> Any:
    """What candidates cost, for a strategy whose budget is a sum of money; None where it is a number of picks."""
    return getattr(strategy, "costs", None)


def check_strategy(strategy: Any) -> None:
    """Refuse what has no method `choose`, and a class instead of an instance."""
    if isinstance(strategy, type) or not callable(getattr(strategy, "choose", None)):
        raise InputError(f"strategy: expected a name, or an instance with a method choose(ask); got {strategy!r}")
