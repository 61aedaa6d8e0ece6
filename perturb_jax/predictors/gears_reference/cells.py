"""Whether cells are what cell-gears can learn from."""

from collections.abc import Sequence

from perturb_jax.screen.cells import CONTROL, Cells
from perturb_jax.screen.screen import Screen
from perturb_jax.support.errors import InputError


def check_cells(cells: Cells, screen: Screen, perturbations: Sequence[str]) -> None:
    """That there are cells of every perturbation and of control, of the screen's genes, and what the losses divide by.

    Raises:
        InputError: otherwise.
    """
    if cells.expression.shape != (len(cells.conditions), len(screen.readouts)):
        raise InputError(
            f"cells: expected {len(cells.conditions)} cells x {len(screen.readouts)} genes as the screen has, "
            f"got {cells.expression.shape}"
        )
    if screen.de_genes.shape[1] < 2:
        raise InputError(
            f"gears_reference: expected at least 2 differentially expressed genes, got {screen.de_genes.shape[1]}: "
            "cell-gears correlates over them; read the screen with a larger num_de"
        )
    rows = screen.index(tuple(perturbations))
    silent = [name for name, row in zip(perturbations, rows, strict=True) if not screen.nonzero[row].any()]
    if silent:
        raise InputError(
            f"gears_reference: no cell of {', '.join(silent[:5])} expresses any gene, and the loss divides by their "
            "number; leave such perturbations out"
        )
    absent = sorted({CONTROL, *perturbations} - set(cells.conditions.tolist()))
    if absent:
        raise InputError(
            f"cells: there is none of {', '.join(absent[:5])}{' and others' if len(absent) > 5 else ''}; "
            "has the file changed since the screen was read?"
        )
