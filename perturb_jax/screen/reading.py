"""How a screen is to be read, or simulated: declared once for Python, command line and experiments."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from perturb_jax.support.errors import InputError
from perturb_jax.support.options import Options, changed_options, option

if TYPE_CHECKING:
    import anndata

    from perturb_jax.screen.screen import Screen


@dataclass(frozen=True)
class Reading(Options):
    """How a screen is to be read: from cells (`read_screen`), or from means (`read_pseudobulk`)."""

    where: Mapping[str, Any] | None = option(
        None, "Read only the cells with COLUMN=VALUE; can be repeated for other columns.", key="COLUMN"
    )
    condition: str | None = option(None, "The cells' column with the conditions.")
    gene_names: str | None = option(None, "The genes' column with their names.")
    control: str | tuple[str, ...] | None = option(None, "What control cells are called.")
    cell_type: str | None = option(None, "The cells' column with the cell types.")
    separator: str | None = option(
        None, "What joins the genes of a combination, besides '+'.", shown="what shows from the labels"
    )
    batch: str | None = option(
        None, "The cells' column with the batches; changes are then against control cells of the same batch."
    )
    layer: str | None = option(None, "The layer with the values.", shown="X")
    raw: bool = option(False, "The values are in 'raw', where scanpy keeps them from before scaling.")
    repeated_genes: Literal["error", "sum", "unique"] = option(
        "error", "Genes that several columns are called: 'error', 'sum' the columns, or 'unique' to number the names."
    )
    normalize: bool = option(False, "The values are raw counts, whole or corrected; or scaled, but not logged.")
    too_few: Literal["error", "drop"] = option(
        "error", "Perturbations with fewer than 2 cells: 'error', or 'drop' and report them."
    )
    pseudobulk: bool = option(
        False, "The file is no file of cells but of means, a row per condition: .csv, .tsv or .h5ad."
    )
    cell_counts: str | None = option(None, "A pseudobulk's column with numbers of cells.")


@dataclass(frozen=True)
class SimulationChoice(Options):
    """A screen that `simulate_screen` is to make."""

    perturbations: int | Path = option(100, "How many genes to perturb, or a file of perturbations.", at_least=1)
    genes: int | Path = option(1000, "How many genes to measure, or a file of them.", at_least=1)
    cells: int = option(100, "Cells of each perturbation.", at_least=2)
    control_cells: int | None = option(None, "Unperturbed cells.", at_least=2, shown="ten times as many")
    homophily: float = option(
        0.5, "Fraction of the effects' variance that is smooth over the graph.", at_least=0, at_most=1
    )
    hops: int = option(1, "Steps over which it is smooth.", at_least=0)


def open_screen(
    source: "str | Path | anndata.AnnData", reading: Reading | None = None, progress: bool | None = None
) -> "Screen":
    """A screen that was saved, or one read from cells; from means only where that is said.

    Args:
        source: an `.h5ad` file of cells, a saved screen, or a pseudobulk (.csv, .tsv or .h5ad); or an AnnData.
        reading: how it is to be read; None: as it is.
        progress: show a bar on standard error; None: if that is a terminal.

    Raises:
        InputError: settings that do not fit what the source is; as `load_screen`, `read_screen`, `read_pseudobulk`.
    """
    from perturb_jax.screen.pseudobulk import read_pseudobulk
    from perturb_jax.screen.read import read_screen  # what reads cells takes long to load
    from perturb_jax.screen.store import is_saved_screen, load_screen

    given = changed_options(reading or Reading())
    path = Path(source) if isinstance(source, str | Path) else None
    if path is not None and is_saved_screen(path):
        if given:
            raise InputError(f"{path}: a saved screen is used as it is; omit {', '.join(given)}, which say how to read")
        return load_screen(path)
    if given.pop("pseudobulk", False):
        if of_cells := [name for name in ("cell_type", "batch", "too_few") if name in given]:
            raise InputError(f"{', '.join(of_cells)}: a pseudobulk has no cells; choose its rows with where=...")
        return read_pseudobulk(source, **given)
    if "cell_counts" in given:
        raise InputError("cell_counts: cells are counted as they are read; omit it, or add pseudobulk=True")
    if path is not None and {".csv", ".tsv", ".tab", ".txt", ".xlsx"} & {suffix.lower() for suffix in path.suffixes}:
        raise InputError(f"{path}: expected cells (.h5ad) or a saved screen; if these are means, add pseudobulk=True")
    return read_screen(source, progress=progress, **given)
