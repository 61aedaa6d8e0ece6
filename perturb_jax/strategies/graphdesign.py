"""GraphDesign as a strategy: the experiments that tell most about what is to be predicted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from perturb_jax.strategies.strategy import Ask, WithinHops
from perturb_jax.support.errors import InputError
from perturb_jax.support.options import option

if TYPE_CHECKING:
    from perturb_jax.selection.selection import Selection


@dataclass(frozen=True)
class GraphDesign(WithinHops):
    """Pick the experiments from which most is learned about the targets: see `perturb_jax.graphdesign`."""

    evidence: ClassVar[str] = "design"
    needs_graph: ClassVar[bool] = False
    compared: ClassVar[tuple[str, ...]] = ("graphreach", "maxspec")

    criterion: Literal["variance", "information", "facility", "soft"] = option(
        "variance", "What is made large: one of variance, information, facility, soft."
    )
    noise: float = option(2.0, "Variance of a measurement relative to the prior variance of an effect.", above=0)
    normalize: bool = option(
        True, "Every gene has the same prior variance; else as the graph has it.", negative="unnormalized"
    )
    weighted: bool = option(True, "Use the edge weights; else every edge weighs 1.", negative="unweighted")
    targets: tuple[str, ...] | Mapping[str, int | float] | None = option(
        None, "Genes to be predicted, or a table of what each is worth.", shown="the candidates"
    )
    costs: Mapping[str, int | float] | None = option(
        None, "A table of what genes cost (those not in it cost 1); the budget is then a sum.", shown="1 each"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.targets, str) or not isinstance(self.targets, tuple | list | Mapping | None):
            raise InputError(
                f"targets: expected a list of perturbations or a table of their weights, got {self.targets!r}"
            )
        if not isinstance(self.costs, Mapping | None):
            raise InputError(f"costs: expected a table of what perturbations cost, got {self.costs!r}")

    def choose(self, ask: Ask) -> "Selection":
        """The picks with what is learned by each."""
        from perturb_jax.selection.graphdesign import graphdesign

        source = ask.graph if ask.kernel is None else ask.kernel
        return graphdesign(
            source, ask.candidates, ask.budget, self.criterion, self.hops, self.noise, self.normalize,
            self.direction, self.weighted, self.targets, self.costs, ask.selected, ask.seed,
        )  # fmt: skip
