"""Small screens made by hand: the moments of random cells."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from perturb_jax.screen.screen import Moments, Screen
from tests.graphs import graph_of


def small_screen(
    perturbations: Sequence[str],
    genes: Sequence[str],
    seed: int = 0,
    change: np.ndarray | None = None,
    deviation: float | np.ndarray = 0.3,
    cells: int | Sequence[int] | np.ndarray = 8,
    de_genes: int = 3,
) -> Screen:
    """A screen with the moments of random cells around true effects `change`, by default random too."""
    rng = np.random.default_rng(seed)
    names = tuple(sorted(perturbations))
    if change is None:
        change = rng.normal(size=(len(names), len(genes)))
    counts = np.broadcast_to(np.asarray(cells, np.int64), len(names)).copy()
    base = rng.uniform(1, 4, len(genes))
    control = base + deviation * rng.normal(size=(50, len(genes)))
    groups = [base + row + deviation * rng.normal(size=(n, len(genes))) for row, n in zip(change, counts, strict=True)]
    mean = np.array([group.mean(0) for group in groups])
    central = [np.array([((group - group.mean(0)) ** k).mean(0) for group in groups]) for k in (2, 3, 4)]
    control_central = [((control - control.mean(0)) ** k).mean(0) for k in (2, 3, 4)]
    return Screen(
        perturbations=names,
        readouts=tuple(genes),
        perturbed=Moments(counts, mean, *central),
        control=Moments(np.array(len(control)), control.mean(0), *control_central),
        nonzero=np.array([(group != 0).any(0) for group in groups]),
        de_genes=np.argsort(-np.abs(mean - control.mean(0)), axis=1, kind="stable")[:, :de_genes],
        coexpression=graph_of(len(genes), []),
        source=None,
        settings={},
    )


def with_moments(screen: Screen, **parts: np.ndarray) -> Screen:
    """The screen with other moments: of perturbations by their names, of control cells after `control_`."""
    control = {name.removeprefix("control_"): part for name, part in parts.items() if name.startswith("control_")}
    perturbed = {name: part for name, part in parts.items() if not name.startswith("control_")}
    return replace(screen, perturbed=screen.perturbed._replace(**perturbed), control=screen.control._replace(**control))
