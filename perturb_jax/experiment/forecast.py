"""How long the rest will take: by predictor and data set, from what its runs took."""

from collections import defaultdict
from collections.abc import Container, Mapping

from perturb_jax.experiment.planner import Chain, Walk
from perturb_jax.experiment.work import Training


class Forecast:
    """Time left.

    Args:
        cycles: of a chain.
    """

    def __init__(self, cycles: int):
        self.cycles = cycles
        self._seconds: dict[tuple[str, int], list[float]] = defaultdict(list)

    def finished(self, work: Training, seconds: Mapping[str, float]) -> None:
        """Take note of what a run took."""
        self._seconds[work.predictor.name, len(work.selected)].append(sum(seconds.values()))

    def left(self, walks: Mapping[Chain, Walk], workers: int, failed: Container[str]) -> float | None:
        """Seconds left: of the runs that are known exactly, of later ones as often as runs were shared so far.

        None while no run of some predictor that is left to do has finished.
        """
        known: dict[Training, bool] = {}
        cycles = later = 0
        for walk in walks.values():
            known |= {cycle.training: cycle.done for cycle in walk.cycles}
            cycles += len(walk.cycles)
            if not any(work.digest in failed for work in walk.wanted):
                later += self.cycles - len(walk.cycles)
        times = [self._expected(work.predictor.name, len(work.selected)) for work, done in known.items() if not done]
        if not self._seconds or None in times or not workers:
            return None
        mean = sum(map(sum, self._seconds.values())) / sum(map(len, self._seconds.values()))
        distinct = len(known) / cycles if cycles else 1.0
        return (sum(time for time in times if time is not None) + later * distinct * mean) / workers

    def _expected(self, predictor: str, size: int) -> float | None:
        """The mean of that predictor's runs of that size, else of any size."""
        of = [took for (name, selected), took in self._seconds.items() if name == predictor and selected == size]
        of = of or [took for (name, _), took in self._seconds.items() if name == predictor]
        every = [one for took in of for one in took]
        return sum(every) / len(every) if every else None
