"""Genes and effects of a simulated screen: what is true before a cell is drawn."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from perturb_jax.genes.perturbations import NO_MEMBER, Perturbations
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.kernel.graph import GraphKernel
from perturb_jax.kernel.kernel import as_dense
from perturb_jax.screen.simulation_model import LARGEST_CHANGE, SCALE, FittedCells, SimulationModel
from perturb_jax.support.errors import InputError

_JITTER = 0.2  # of log rate, log dispersion and log response, so that genes drawn alike are not twins


class Genes(NamedTuple):
    """The measured genes in control cells.

    Attributes:
        names: gene names.
        rate: share of a cell's counts.
        dispersion: of the negative binomial.
        response: scale of the log fold changes.
        state: the cell state that each follows.
    """

    names: tuple[str, ...]
    rate: Float[np.ndarray, " genes"]
    dispersion: Float[np.ndarray, " genes"]
    response: Float[np.ndarray, " genes"]
    state: Int[np.ndarray, " genes"]


def draw_genes(
    names: tuple[str, ...], perturbed: frozenset[str], model: SimulationModel, rng: np.random.Generator
) -> Genes:
    """Give every gene the fitted numbers of a real one, drawn at random and jittered.

    What is background is drawn last, so that the other genes are the same whatever the share of background.

    Args:
        names: the genes to measure.
        perturbed: those of them that are perturbed, for `least_target_rate`.
        model: the parameters.
        rng: randomness.

    Raises:
        InputError: no real gene, or no background gene where there are to be some, has the rate asked for.
    """
    fitted = model.fitted
    own = np.array([name in perturbed for name in names])
    donors = np.where(own, _donors(fitted, max(model.least_rate, model.least_target_rate), own.size, rng),
                      _donors(fitted, model.least_rate, own.size, rng))  # fmt: skip
    jitter = np.exp(_JITTER * rng.standard_normal((3, own.size)))
    state = rng.integers(0, model.states, own.size)
    silent, shares = _background(own, model, rng)
    rate = np.where(silent, shares, fitted.rate[donors]) * jitter[0]
    rate *= min(1.0, 0.5 / rate.sum())  # the other half of a cell's counts, at least, is of genes that are not measured
    dispersion = np.where(silent, fitted.background_dispersion, fitted.dispersion[donors]) * jitter[1]
    dispersion = np.maximum(dispersion, fitted.dispersion.min())
    return Genes(names, rate, dispersion, np.where(silent, 0.0, fitted.response[donors] * jitter[2]), state)


def _background(
    perturbed: Bool[np.ndarray, " genes"], model: SimulationModel, rng: np.random.Generator
) -> tuple[Bool[np.ndarray, " genes"], Float[np.ndarray, " genes"]]:
    """Which genes are background, and what share of a cell's counts each of them would have."""
    fitted = model.fitted
    number = min(round((1 - fitted.responsive) * perturbed.size), int((~perturbed).sum()))
    silent = np.zeros(perturbed.size, bool)
    if not number:
        return silent, np.zeros(perturbed.size)
    shares = fitted.background[fitted.background * SCALE >= model.least_rate]
    if not len(shares):
        reason = "of such a least_rate" if len(fitted.background) else f"in {model.cells}"
        raise InputError(f"responsive: there are no background genes {reason}; expected responsive=1, got "
                         f"{fitted.responsive:.3g}")  # fmt: skip
    order = rng.permutation(perturbed.size)
    silent[order[~perturbed[order]][:number]] = True
    return silent, rng.choice(shares, perturbed.size)


def _donors(fitted: FittedCells, least: float, number: int, rng: np.random.Generator) -> Int[np.ndarray, " genes"]:
    enough = np.flatnonzero(fitted.rate * SCALE >= least)
    if not len(enough):
        highest = fitted.rate.max() * SCALE
        raise InputError(f"expected a least rate of at most {highest:.3g} counts per 10,000, got {least}; lower it")
    return rng.choice(enough, number)


def draw_strengths(
    number: int, null: float, spread: float, rng: np.random.Generator
) -> Float[np.ndarray, " perturbations"]:
    """Strengths of perturbations: 0 for a share `null`, lognormal for the others, so that the mean square is 1.

    All are 0 if `null` is 1.
    """
    active = rng.random(number) >= null
    strengths = np.exp(spread * rng.standard_normal(number) - spread**2)
    return np.where(active, strengths / np.sqrt(max(1 - null, 1e-12)), 0.0)


def draw_changes(
    graph: KnowledgeGraph,
    candidates: Perturbations,
    genes: Genes,
    model: SimulationModel,
    homophily: float,
    hops: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "perturbations genes"]:
    """Log fold changes of every perturbation on every measured gene: E of `SimulationModel`.

    All that belongs to a perturbed gene is drawn for every gene of the graph, so that its effect does not depend on
    what else is in the screen (given the same measured genes, and of these the same perturbed ones).

    Complexity: O(nodes * programmes + edges within `hops` of the perturbations * programmes + perturbations * genes *
    programmes).
    """
    shape = (graph.num_nodes, model.programmes)
    field, own = rng.standard_normal(shape), rng.standard_normal(shape)
    fitted = model.fitted
    strength = draw_strengths(graph.num_nodes, fitted.null, fitted.strength_spread, rng)
    loading = rng.standard_normal((len(genes.names), model.programmes))
    loading *= (genes.response * model.strength / np.linalg.norm(loading, axis=1))[:, None]
    nodes = np.unique(candidates.members[candidates.members != NO_MEMBER])
    kernel = GraphKernel(graph, hops)
    smooth = np.concatenate([as_dense(block @ field) for _, block in kernel.features(nodes[:, None])])
    smooth *= kernel.rows(nodes[:, None]).scale[:, None]
    programmes = np.sqrt(homophily) * smooth + np.sqrt(1 - homophily) * own[nodes]
    present = candidates.members != NO_MEMBER
    place = np.searchsorted(nodes, np.where(present, candidates.members, nodes[0]))
    weight = np.where(present, strength[candidates.members], 0.0)
    total = np.einsum("pa,pak->pk", weight, programmes[place])
    if model.interaction:
        several = present.sum(1) > 1
        scale = model.interaction * np.sqrt((weight**2).sum(1) / present.sum(1)) * several
        total += scale[:, None] * rng.standard_normal(total.shape)
    changes = np.clip(total @ loading.T, -LARGEST_CHANGE, LARGEST_CHANGE)
    column = {name: i for i, name in enumerate(genes.names)}
    for row, members in enumerate(candidates.members):
        for member in members[members != NO_MEMBER]:
            target = column.get(graph.genes[member])
            if target is not None:
                changes[row, target] = np.log(model.remaining)
    return changes
