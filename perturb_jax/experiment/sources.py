"""The files that an experiment reads: where they are, and their checksums, by which they are known."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from perturb_jax.experiment.file import Data, Experiment, Graph
from perturb_jax.screen.datasets import CELLS, cache_directory, fetch, holding
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import sha256_of


class Found(NamedTuple):
    """Files of one data set and of the graph: by key ("data.screen"), checksums and paths."""

    checksums: tuple[tuple[str, str], ...]
    paths: tuple[tuple[str, Path], ...]


class Sources(NamedTuple):
    """All files.

    Attributes:
        checksums: by data set's label, then key.
        paths: as `checksums`; empty where results are only read.
    """

    checksums: Mapping[str, Mapping[str, str]]
    paths: Mapping[str, Mapping[str, Path]]

    def of(self, label: str) -> Found:
        """Those of one data set."""
        return Found(tuple(self.checksums[label].items()), tuple(self.paths.get(label, {}).items()))


def find_sources(experiment: Experiment, base: Path) -> Sources:
    """Find all files and take their checksums.

    Args:
        experiment: which.
        base: the directory that relative paths start from.

    Raises:
        InputError: a file that is not there, naming the field; a published data set that is not in the cache.
    """
    known: dict[Path, str] = {}
    checksums: dict[str, dict[str, str]] = {}
    paths: dict[str, dict[str, Path]] = {}
    for label, data in experiment.table.data.items():
        found = _paths(label, data, experiment.table.graph, base)
        for path in found.values():
            known.setdefault(path, "")
            known[path] = known[path] or sha256_of(path)
        checksums[label] = {key: known[path] for key, path in found.items()}
        paths[label] = found
    return Sources(checksums, paths)


def _paths(label: str, data: Data, graph: Graph, base: Path) -> dict[str, Path]:
    named: dict[str, Path | None] = {
        "data.screen": data.screen,
        "graph.file": graph.file,
        "graph.annotation": graph.annotation,
        "graph.universe": graph.universe if isinstance(graph.universe, Path) else None,
    }
    if data.simulation is not None and isinstance(data.simulation.perturbations, Path):
        named["data.simulation.perturbations"] = data.simulation.perturbations
    found = {}
    for key, path in named.items():
        if path is None:
            continue
        place = (base / path).absolute()
        if not place.is_file():
            raise InputError(f"{key.replace('data', f'data.{label}', 1)}: expected a file, found none at {place}")
        found[key] = place
    if data.dataset is not None:
        if holding(data.dataset).cells is None:
            at = cache_directory() / data.dataset / CELLS
            raise InputError(f"data.{label}.dataset: {data.dataset} is not in the cache ({at}); fetch it first")
        found["data.dataset"] = fetch(data.dataset).path
    return found
