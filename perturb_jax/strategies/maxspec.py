"""MaxSpec as a strategy: the perturbations that keep the spectral norm of what is reached small."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from perturb_jax.strategies.strategy import Ask, WithinHops
from perturb_jax.support.errors import InputError
from perturb_jax.support.options import option

if TYPE_CHECKING:
    from perturb_jax.selection.selection import Selection


@dataclass(frozen=True)
class MaxSpec(WithinHops):
    """Pick candidates so that the operator on everything reached keeps a small norm: see `perturb_jax.maxspec`."""

    evidence: ClassVar[str] = "spectral"
    longest: ClassVar[int | None] = 200  # of all that others are compared with, what takes longest

    normalization: Literal["graph", "subgraph"] = option(
        "graph", "Degrees of the whole 'graph', or of the reached 'subgraph'."
    )
    sense: Literal["min", "max"] = option("min", "Keep the norm small ('min') or make it large ('max').")
    symmetric: bool = option(False, "Use every edge in both directions.")
    weighted: bool = option(True, "Use the edge weights; else every edge weighs 1.", negative="unweighted")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.normalization == "subgraph" and self.symmetric:
            from perturb_jax.selection.maxspec import CANNOT_CHOOSE

            raise InputError(CANNOT_CHOOSE)  # of a graph that is symmetric itself, only the first selection can tell

    def choose(self, ask: Ask) -> "Selection":
        """The picks with the norm after each."""
        from perturb_jax.selection.maxspec import maxspec

        return maxspec(
            ask.graph, ask.candidates, int(ask.budget), self.hops, self.direction, self.normalization, self.symmetric,
            self.weighted, self.sense, selected=ask.selected, seed=ask.seed,
        )  # fmt: skip
