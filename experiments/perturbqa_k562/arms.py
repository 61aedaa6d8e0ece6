"""What is compared: every way to choose the training perturbations before the screen."""

from collections.abc import Callable, Sequence

import perturb_jax as pj
from perturb_jax.strategies.choose import choose

Arm = Callable[[pj.KnowledgeGraph, Sequence[str], Sequence[str], int], Sequence[str]]
"""(graph, candidates, every perturbation by name, budget) -> picks in order."""

BUDGETS = (50, 100, 200, 400, 800)
RANDOM_BUDGETS = (50, 75, 100, 150, 200, 250, 300, 400, 500, 600, 800)
DRAWS = 5
MAXSPEC_LIMIT = 400  # its norms of ever larger subgraphs take most of the whole run's time beyond
CRITERIA = ("variance", "information", "facility", "soft")


def _picks(strategy: Callable[..., pj.Selection], **options: object) -> Arm:
    def picks(
        graph: pj.KnowledgeGraph, candidates: Sequence[str], _perturbations: Sequence[str], budget: int
    ) -> Sequence[str]:
        return strategy(graph, candidates, budget, **options).genes

    return picks


def _named(strategy: pj.Strategy, seed: int | None = None) -> Arm:
    def picks(
        graph: pj.KnowledgeGraph, candidates: Sequence[str], _perturbations: Sequence[str], budget: int
    ) -> Sequence[str]:
        return choose(strategy, pj.Ask.of(graph, candidates, budget, seed=seed)).genes

    return picks


def _design(criterion: str = "variance", targets: str = "perturbations", **options: object) -> Arm:
    """`targets`: "perturbations": all of the data set, the test ones by name; "candidates"; or "graph": every gene."""

    def picks(
        graph: pj.KnowledgeGraph, candidates: Sequence[str], perturbations: Sequence[str], budget: int
    ) -> Sequence[str]:
        names = {"perturbations": perturbations, "candidates": None, "graph": graph.genes}[targets]
        return pj.graphdesign(graph, candidates, budget, criterion=criterion, targets=names, **options).genes

    return picks


def main_arms() -> dict[str, Arm]:
    """Every one-shot strategy but Random, with the product's defaults where nothing is said."""
    arms: dict[str, Arm] = {"top-degree": _named(pj.TopDegree()), "k-center": _named(pj.KCenter())}
    for direction in ("in", "out", "both"):
        for hops in (1, 2):
            arms[f"graphreach {direction} k={hops}"] = _picks(pj.graphreach, hops=hops, direction=direction)
    for normalization in ("graph", "subgraph"):
        arms[f"maxspec {normalization}"] = _picks(pj.maxspec, normalization=normalization)
    return arms | {f"design {criterion}": _design(criterion) for criterion in CRITERIA}


def random_arm(seed: int, draw: int) -> Arm:
    """A uniform draw of its own for each seed and number."""
    return _named(pj.Random(), seed=1000 * seed + draw)


def sensitivity_arms() -> dict[str, Arm]:
    """The design with one option changed at a time, and some pairs of them."""
    arms = {"variance": _design()}
    arms |= {f"variance noise={noise:g}": _design(noise=noise) for noise in (0.1, 0.5, 1.0, 4.0, 8.0)}
    arms |= {
        "variance normalize=False": _design(normalize=False),
        "variance normalize=False noise=0.2": _design(normalize=False, noise=0.2),
        "variance weighted=False": _design(weighted=False),
        "variance hops=2": _design(hops=2),
        "variance hops=2 noise=0.5": _design(hops=2, noise=0.5),
        "variance hops=2 noise=8": _design(hops=2, noise=8.0),
        "variance direction=out": _design(direction="out"),
        "variance direction=both": _design(direction="both"),
        "variance direction=both hops=2": _design(direction="both", hops=2),
        "variance targets=candidates": _design(targets="candidates"),
        "variance targets=graph": _design(targets="graph"),
    }
    for criterion in ("information", "facility", "soft"):
        arms |= {
            criterion: _design(criterion),
            f"{criterion} hops=2": _design(criterion, hops=2),
            f"{criterion} direction=both": _design(criterion, direction="both"),
            f"{criterion} weighted=False": _design(criterion, weighted=False),
        }
    arms |= {
        "facility normalize=False": _design("facility", normalize=False),
        "facility targets=graph": _design("facility", targets="graph"),
        "information normalize=False": _design("information", normalize=False),
    }
    return arms


def confirmation_arms() -> dict[str, Arm]:
    """The default of the variance design, and one option changed at a time."""
    names = ("noise=0.5", "noise=8", "normalize=False", "weighted=False", "hops=2")
    names += ("direction=out", "direction=both", "targets=candidates")
    every = sensitivity_arms()
    return {name: every[name] for name in ("variance", *(f"variance {name}" for name in names))}
