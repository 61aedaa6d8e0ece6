"""What the picks of a plan are shown with: columns, what they are compared with, a picture, a part of the record.

A strategy names the kind of its evidence (`Strategy.evidence`). Every kind is a class in one file that derives from
`Coverage`, which is what a strategy gets that names none; one line in `EVIDENCE` gives it its name.
"""

from typing import Any, NamedTuple

import pandas as pd

from perturb_jax.genes.perturbations import Perturbations
from perturb_jax.genes.symbols import Unknown
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.support.registry import Registry

EVIDENCE: Registry[Any] = Registry(
    "evidence",
    {
        "coverage": "perturb_jax.plan.coverage:Coverage",
        "spectral": "perturb_jax.plan.spectral:Spectral",
        "design": "perturb_jax.plan.design:Learned",
        "robust": "perturb_jax.plan.robust:Robust",
    },
    "perturb_jax.evidence",
)
"""Kinds of evidence by name."""


class Question(NamedTuple):
    """What a plan is made for, names understood and checked.

    Attributes:
        graph: the knowledge graph.
        strategy: an instance.
        name: what it is called.
        budget: picks, or what they may cost together; must-haves are part of it.
        given: all candidates that were given, whatever became of them.
        must: what ranks first.
        pool: the candidates for the rest.
        tested: what counts as covered.
        hops: steps within which coverage is measured.
        direction: of that reach.
        seed: of the choice.
        unknown: what to do with names that are not in the graph.
        kernel: how alike the effects are expected to be; None: what the graph alone implies.
    """

    graph: KnowledgeGraph
    strategy: Any
    name: str
    budget: int | float
    given: Perturbations
    must: Perturbations
    pool: Perturbations
    tested: Perturbations
    hops: int
    direction: Direction
    seed: int | None
    unknown: Unknown
    kernel: Any = None


class Found(NamedTuple):
    """What a kind of evidence says of the picks.

    Attributes:
        columns: for the table of picks, beside the coverage.
        targets: a row per target, where the strategy has such.
        details: what else the record needs.
    """

    columns: pd.DataFrame
    targets: pd.DataFrame | None = None
    details: Any = None


class Comparison(NamedTuple):
    """What the picks are compared with: the coverage of random and most connected ones, and a kind's own curves."""

    coverage: Any
    own: Any = None
