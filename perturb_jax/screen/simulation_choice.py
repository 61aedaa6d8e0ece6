"""Which simulated screen: sizes and smoothness, declared once for the command line and experiments."""

from dataclasses import dataclass
from pathlib import Path

from perturb_jax.support.options import Options, option


@dataclass(frozen=True)
class SimulationChoice(Options):
    """A screen that `simulate_screen` is to make.

    Raises:
        InputError: values that the fields do not allow.
    """

    perturbations: int | Path = option(100, "How many genes to perturb, or a file of perturbations.", at_least=1)
    genes: int | Path = option(1000, "How many genes to measure, or a file of them.", at_least=1)
    cells: int = option(100, "Cells of each perturbation.", at_least=2)
    control_cells: int | None = option(None, "Unperturbed cells.", at_least=2, shown="ten times as many")
    homophily: float = option(
        0.5, "Fraction of the effects' variance that is smooth over the graph.", at_least=0, at_most=1
    )
    hops: int = option(1, "Steps over which it is smooth.", at_least=0)
