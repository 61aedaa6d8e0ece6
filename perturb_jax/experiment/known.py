"""What the directory of an experiment holds, as the planner asks for it."""

from perturb_jax.experiment.carry_out import PICKS
from perturb_jax.experiment.prepare import RECORD
from perturb_jax.experiment.store import Store
from perturb_jax.experiment.work import Choice, Preparation, Training


class Stored:
    """`planner.Known` of a store; what was read once is remembered."""

    def __init__(self, store: Store):
        self.store = store
        self._names: dict[str, tuple[str, ...]] = {}

    def perturbations(self, work: Preparation) -> tuple[str, ...] | None:
        """See `planner.Known.perturbations`."""
        return self._list(work, RECORD, "perturbations")

    def picks(self, work: Choice) -> tuple[str, ...] | None:
        """See `planner.Known.picks`."""
        return self._list(work, PICKS, "picks")

    def has_run(self, work: Training) -> bool:
        """See `planner.Known.has_run`."""
        return self.store.holds(work)

    def _list(self, work: Preparation | Choice, name: str, key: str) -> tuple[str, ...] | None:
        if work.digest not in self._names:
            if not self.store.holds(work):
                return None
            self._names[work.digest] = tuple(self.store.record(work, name)[key])
        return self._names[work.digest]
