"""A perturbation screen as sufficient statistics: what everything but the PyTorch reference works from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from perturb_jax.genes.perturbations import perturbed_genes
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.support.errors import InputError


@dataclass(frozen=True)
class HowRead:
    """How a screen was read from cells or made, as its `settings` have it; defaults where they do not say.

    Attributes:
        where: columns and the values of the cells that were read.
        condition: the column with the conditions.
        control: what control cells are called.
        cell_type: the column with the cell types.
        cell_types: those that were read, where there is such a column.
        gene_names: the genes' column with their names, or "index".
        layer: the layer with the values; None: X.
        normalize: whether the values were raw counts.
        guessed: which of these were not given.
        dropped: perturbations left out, with the reason.
        cells_left_out: cells left out, by reason.
        simulated: whether it was simulated.
    """

    where: Mapping[str, Any] | None = None
    condition: str | None = None
    control: Sequence[str] | None = None
    cell_type: str | None = None
    cell_types: Sequence[str] = ()
    gene_names: str | None = None
    layer: str | None = None
    normalize: bool = False
    guessed: Sequence[str] = ()
    dropped: Mapping[str, str] = field(default_factory=dict)
    cells_left_out: Mapping[str, int] = field(default_factory=dict)
    simulated: Any = False


@dataclass(frozen=True, eq=False)
class Screen:
    """The first four moments of expression in the cells of every perturbation, and in control cells.

    Expression is log1p of counts scaled to 10,000 per cell, unless said otherwise. Third and fourth moments, like the
    variance, are central and divided by the number of cells (not by one less).

    Attributes:
        perturbations: "A" or "A+B" with genes in sorted order, as the data name them, controls left out; sorted.
        readouts: the measured genes.
        cell_counts: cells of each perturbation.
        mean: mean expression.
        variance: second central moment.
        third: third central moment.
        fourth: fourth central moment.
        nonzero: whether any cell of the perturbation expresses the gene.
        de_genes: columns of the differentially expressed genes, the largest absolute t first.
        control_count: control cells.
        control_mean: mean expression in control cells.
        control_variance: second central moment in control cells.
        control_third: third central moment in control cells.
        control_fourth: fourth central moment in control cells.
        coexpression: the measured genes' graph: each reads those it correlates with most in control cells.
        source: the file with the cells; None where there are none.
        settings: how it was read or made: plain values, for reports.
    """

    perturbations: tuple[str, ...]
    readouts: tuple[str, ...]
    cell_counts: Int[np.ndarray, " perturbations"]
    mean: Float[np.ndarray, "perturbations readouts"]
    variance: Float[np.ndarray, "perturbations readouts"]
    third: Float[np.ndarray, "perturbations readouts"]
    fourth: Float[np.ndarray, "perturbations readouts"]
    nonzero: Bool[np.ndarray, "perturbations readouts"]
    de_genes: Int[np.ndarray, "perturbations de"]
    control_count: int
    control_mean: Float[np.ndarray, " readouts"]
    control_variance: Float[np.ndarray, " readouts"]
    control_third: Float[np.ndarray, " readouts"]
    control_fourth: Float[np.ndarray, " readouts"]
    coexpression: KnowledgeGraph
    source: Path | None
    settings: dict[str, object]

    def __len__(self) -> int:
        return len(self.perturbations)

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
    def effects(self) -> Float[np.ndarray, "perturbations readouts"]:
        """Mean expression less the control's: the effect of each perturbation.

        All control cells are one: where a screen has several cell types, what tells those apart is in it (`caution`).
        """
        return self.mean - self.control_mean[None, :]

    @property
    def how(self) -> "HowRead":
        """How it was read or made, as far as `settings` say."""
        known = {field.name: self.settings[field.name] for field in fields(HowRead) if field.name in self.settings}
        return HowRead(**known)  # type: ignore[arg-type]

    @property
    def caution(self) -> str:
        """What is to be known before effects are used; empty if nothing is."""
        kinds = self.how.cell_types
        if len(kinds) < 2:
            return ""
        shown = f"{', '.join(map(str, kinds[:3]))}{', ...' * (len(kinds) > 3)}"
        return (
            f"{len(kinds)} cell types ({shown}): effects are against their control cells pooled; "
            f"where={{{str(self.how.cell_type)!r}: ...}} reads one"
        )

    def __repr__(self) -> str:
        """Size and origin, what was guessed and what was left out, and the caution."""
        how = self.how
        cells = f"{int(self.cell_counts.sum()):,} perturbed and {self.control_count:,} control cells"
        size = f"{len(self):,} perturbations x {len(self.readouts):,} genes, {cells}"
        origin = "" if self.source is None else f", from {self.source.name}"
        keys = [f"{key}={self.settings.get(key)!r}" for key in how.guessed]
        lost = [f"{len(how.dropped)} perturbations"] if how.dropped else []
        lost += [f"{n} cells ({why})" for why, n in how.cells_left_out.items()]
        notes = [f"; {what} {', '.join(said)}" for what, said in (("guessed", keys), ("left out", lost)) if said]
        notes += [f"; {self.caution}"] if self.caution else []
        kind = "Simulated screen" if how.simulated else "Screen"
        return f"{kind}({size}{origin}{''.join(notes)})"
