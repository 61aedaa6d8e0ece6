"""A perturbation screen as sufficient statistics: what everything but the PyTorch reference works from."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from perturb_jax.genes.perturbations import perturbed_genes
from perturb_jax.genes.symbols import GeneNames
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.support.errors import InputError


class Moments(NamedTuple):
    """How many cells there are, and the mean and central moments 2 to 4 of each gene in them.

    Central moments are divided by the number of cells, not by one less. Of several groups each part has a leading axis.
    """

    cells: Int[np.ndarray, "*groups"]
    mean: Float[np.ndarray, "*groups genes"]
    variance: Float[np.ndarray, "*groups genes"]
    third: Float[np.ndarray, "*groups genes"]
    fourth: Float[np.ndarray, "*groups genes"]

    def of(self, rows: int | slice | np.ndarray) -> "Moments":
        """Those of some groups."""
        return Moments(*(part[rows] for part in self))


MOMENTS = Moments._fields[1:]
"""The moments by name."""


class Guides(NamedTuple):
    """What the guides of perturbations do: replicates of their effects."""

    names: tuple[str, ...]
    perturbation: Int[np.ndarray, " guides"]  # row of each one's perturbation
    cells: Int[np.ndarray, " guides"]
    mean: Float[np.ndarray, "guides readouts"]  # as `Screen.mean`, of each guide's cells


@dataclass(frozen=True, eq=False)
class Screen:
    """The first four moments of expression in the cells of every perturbation, and in control cells.

    Expression is log1p of counts scaled to 10,000 per cell, unless said otherwise.

    Attributes:
        perturbations: "A" or "A+B" with genes in sorted order, as the data name them, controls left out; sorted.
        readouts: the measured genes.
        perturbed: the cells, mean and central moments of each perturbation [perturbations, readouts].
        control: those of control cells [readouts].
        nonzero: whether any cell of the perturbation expresses the gene.
        de_genes: columns of the differentially expressed genes, the largest absolute t first.
        coexpression: the measured genes' graph: each reads those it correlates with most in control cells.
        source: the file with the cells; None where there are none.
        settings: how it was read or made: plain values, for reports.
        gene_ids: Ensembl identifiers of the readouts, where the data name genes by symbols too; else none.
        guides: replicates of perturbations, where the data name guides and a perturbation has several.
    """

    perturbations: tuple[str, ...]
    readouts: tuple[str, ...]
    perturbed: Moments
    control: Moments
    nonzero: Bool[np.ndarray, "perturbations readouts"]
    de_genes: Int[np.ndarray, "perturbations de"]
    coexpression: KnowledgeGraph
    source: Path | None
    settings: dict[str, Any]
    gene_ids: tuple[str, ...] = ()
    guides: Guides | None = None

    def __len__(self) -> int:
        return len(self.perturbations)

    @property
    def cell_counts(self) -> Int[np.ndarray, " perturbations"]:
        """Cells of each perturbation."""
        return self.perturbed.cells

    @property
    def mean(self) -> Float[np.ndarray, "perturbations readouts"]:
        """Mean expression in the cells of each perturbation."""
        return self.perturbed.mean

    @property
    def control_mean(self) -> Float[np.ndarray, " readouts"]:
        """Mean expression in control cells."""
        return self.control.mean

    @property
    def effects(self) -> Float[np.ndarray, "perturbations readouts"]:
        """Mean expression less the control's: the effect of each perturbation.

        All control cells are one: where a screen has several cell types, what distinguishes those is in it (`caution`).
        """
        return self.mean - self.control_mean[None, :]

    def index(self, names: tuple[str, ...]) -> Int[np.ndarray, " names"]:
        """Rows of some perturbations; "A+B" and "B+A" are the same.

        Raises:
            InputError: a name that is none of them.
        """
        position = {frozenset(perturbed_genes(name)): row for row, name in enumerate(self.perturbations)}
        rows = [position.get(frozenset(perturbed_genes(name))) for name in names]
        unknown = [name for name, row in zip(names, rows, strict=True) if row is None]
        if unknown:
            raise InputError(
                f"{len(unknown)} of {len(names)} names are no perturbations of this screen: "
                f"{', '.join(unknown[:5])}; expected names like {self.perturbations[0]!r}, as in Screen.perturbations"
            )
        return np.array(rows, np.int64)

    @property
    def caution(self) -> str:
        """What is to be known before effects are used; empty if nothing is."""
        kinds = self.settings.get("cell_types", ())
        if len(kinds) < 2:
            return ""
        shown = f"{', '.join(map(str, kinds[:3]))}{', ...' * (len(kinds) > 3)}"
        return (
            f"{len(kinds)} cell types ({shown}): effects are against their control cells pooled; "
            f"where={{{str(self.settings.get('cell_type'))!r}: ...}} reads one"
        )

    def __repr__(self) -> str:
        """Size and origin, what was guessed and what was left out, and the caution."""
        settings = self.settings
        cells = f"{int(self.cell_counts.sum()):,} perturbed and {int(self.control.cells):,} control cells"
        size = f"{len(self):,} perturbations x {len(self.readouts):,} genes, {cells}"
        origin = "" if self.source is None else f", from {self.source.name}"
        guessed = [f"{key}={settings.get(key)!r}" for key in settings.get("guessed", ())]
        dropped = settings.get("dropped")
        lost = [f"{len(dropped)} perturbations"] if dropped else []
        lost += [f"{n} cells ({why})" for why, n in settings.get("cells_left_out", {}).items()]
        notes = [f"; {what} {', '.join(said)}" for what, said in (("guessed", guessed), ("left out", lost)) if said]
        notes += [f"; {self.caution}"] if self.caution else []
        notes += [f"; {one}" for one in settings.get("noticed", ())]
        kind = "Simulated screen" if settings.get("simulated") else "Screen"
        return f"{kind}({size}{origin}{''.join(notes)})"


def one_of_each(screen: Screen, known: GeneNames) -> Screen:
    """The screen with perturbations of the same genes merged, where it calls a gene by its old symbol and by its new.

    Moments are those of all their cells; DE genes are tested anew, against all control cells. `Screen.settings` says
    under "merged" what has another name now.
    """
    genes_of = [perturbed_genes(name) for name in screen.perturbations]
    read = known.resolve(dict.fromkeys(gene for genes in genes_of for gene in genes), "drop", distinct=False)
    current = dict(zip(read.given, read.genes, strict=True))
    rows_of: dict[frozenset[str], list[int]] = {}
    for row, genes in enumerate(genes_of):
        rows_of.setdefault(frozenset(current.get(gene, gene) for gene in genes), []).append(row)
    if len(rows_of) == len(screen):
        return screen
    whole = {"+".join(sorted(genes)) if len(rows) > 1 else screen.perturbations[rows[0]]: rows
             for genes, rows in rows_of.items()}  # fmt: skip
    names = tuple(sorted(whole))
    parts = [merged(screen.perturbed.of(np.array(whole[name]))) for name in names]
    perturbed = Moments(*(np.stack(part) for part in zip(*parts, strict=True)))
    control = Moments(*(part[None] for part in screen.control))
    number = screen.de_genes.shape[1]

    def de_genes(row: int) -> np.ndarray:
        if len(rows := whole[names[row]]) == 1:
            return screen.de_genes[rows[0]]
        one = perturbed.of(slice(row, row + 1))
        testable = min(one.cells[0], screen.control.cells) > 1 and one.variance.any()
        return top_genes(welch_t(one, control) if testable else one.mean[0] - screen.control.mean, number)

    old = {screen.perturbations[row]: name for name, rows in whole.items() for row in rows}
    return replace(
        screen,
        perturbations=names,
        perturbed=perturbed,
        nonzero=np.stack([screen.nonzero[whole[name]].any(0) for name in names]),
        de_genes=np.stack([de_genes(row) for row in range(len(names))]),
        settings=screen.settings | {"merged": {name: new for name, new in old.items() if name != new}},
        guides=None if screen.guides is None else screen.guides._replace(
            perturbation=np.array([names.index(old[screen.perturbations[row]]) for row in screen.guides.perturbation])
        ),
    )  # fmt: skip


def with_zeros(sums: np.ndarray, cells: np.ndarray) -> Moments:
    """Moments of groups of `cells` cells [groups] whose non-zero values `accumulate` gathered [groups, genes, 5]."""
    expressing, mean, second, third, fourth = np.moveaxis(sums, -1, 0)
    n = cells[:, None].astype(float)
    zeros = n - expressing
    over = mean * zeros / n  # of the non-zero values' mean over the mean of all
    under = -mean * expressing / n
    variance = (second + expressing * over**2 + zeros * under**2) / n
    skew = (third + 3 * over * second + expressing * over**3 + zeros * under**3) / n
    tails = fourth + 4 * over * third + 6 * over**2 * second + expressing * over**4 + zeros * under**4
    return Moments(cells, mean * expressing / n, variance, skew, tails / n)


def merged(parts: Moments) -> Moments:
    """The moments of all groups [groups, genes] taken together [genes]."""
    if len(parts.cells) == 1:
        return parts.of(0)
    weight = (parts.cells / parts.cells.sum())[:, None]
    mean = (weight * parts.mean).sum(0)
    over = parts.mean - mean[None, :]
    third = parts.third + 3 * over * parts.variance + over**3
    fourth = parts.fourth + 4 * over * parts.third + 6 * over**2 * parts.variance + over**4
    variance = (weight * (parts.variance + over**2)).sum(0)
    return Moments(parts.cells.sum(), mean, variance, (weight * third).sum(0), (weight * fourth).sum(0))


def welch_t(perturbed: Moments, control: Moments) -> Float[np.ndarray, " genes"]:
    """Welch's t of each gene against control, within cell types; of each type [types, genes] at least 2 cells.

    One cell type: t = (m - m0) / sqrt(s^2 / n + s0^2 / n0), s^2 with n - 1 in the denominator; what
    `scanpy.tl.rank_genes_groups(method="t-test", reference=control)` calls the score. Several: differences and squared
    errors are taken within each cell type c and summed with the weights w_c = n_c / sum(n) and w_c^2, so that a
    perturbation which is common in one cell type is not credited with that type's expression. Where the error is 0, t
    is 0 for equal means (as in scanpy) and infinite for different ones.
    """
    weight = (perturbed.cells / perturbed.cells.sum())[:, None]
    difference = (weight * (perturbed.mean - control.mean)).sum(0)
    squared_error = sum(part.variance / (part.cells[:, None] - 1.0) for part in (perturbed, control))
    error = np.sqrt((weight**2 * squared_error).sum(0))
    signed = np.where(difference == 0, 0.0, np.copysign(np.inf, difference))
    return np.divide(difference, error, out=signed, where=error > 0)


def top_genes(score: Float[np.ndarray, " genes"], number: int) -> Int[np.ndarray, " top"]:
    """The columns of the largest absolute scores, the largest first; of equal ones the first column."""
    return np.argsort(-np.abs(score), kind="stable")[:number]


def relative_noise(
    mean: Float[np.ndarray, "perturbations genes"],
    variance: Float[np.ndarray, "perturbations genes"],
    cell_counts: Int[np.ndarray, " perturbations"],
) -> float:
    """The variance of a measured effect around its true value, relative to the variance of true effects.

    A perturbation's effect is measured by its cells' mean, whose error has variance m2 / (n - 1), m2 the variance among
    the n cells. The means differ between perturbations by true effects and by that error, so the true effects have the
    variance between means less the mean error (the one-way random-effects estimate, as in analysis of variance).
    Summed over genes before the division, so that genes with large effects count most.

    For `graphdesign` this is the least that `noise` can be: there it also holds all that the graph does not explain of
    true effects.

    Args:
        mean: of each perturbation's cells.
        variance: second central moment of each perturbation's cells.
        cell_counts: cells of each perturbation, at least 2.

    Raises:
        InputError: fewer than 2 perturbations; one with fewer than 2 cells; values that are not finite; means that
            differ no more than their errors.

    Examples:
        >>> mean, variance = np.array([[1.0, 0.0], [3.0, 0.0], [2.0, 0.0]]), np.full((3, 2), 0.4)
        >>> round(relative_noise(mean, variance, np.array([5, 5, 5])), 3)
        0.25
    """
    if len(mean) < 2:
        raise InputError(f"noise: expected at least 2 perturbations, got {len(mean)}")
    if cell_counts.min() < 2:
        raise InputError(
            f"noise: expected at least 2 cells of every perturbation, got {cell_counts.min()}; leave it out"
        )
    if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        raise InputError("noise: expected finite means and variances, got NaN or infinity; leave such genes out")
    error = float((variance / (cell_counts[:, None] - 1.0)).mean(0).sum())
    between = float(mean.var(0, ddof=1).sum())
    if between <= error:
        raise InputError(
            f"noise: the perturbations' means differ no more ({between:.3g}) than their errors ({error:.3g}): no "
            "effect can be distinguished from noise; use more cells or genes with larger effects"
        )
    return error / (between - error)
