"""What can be picked: single genes and combinations, as node numbers."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from perturb_jax.errors import InputError
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.graph.names import Unknown

NO_MEMBER = -1
"""Fills the rows of `Candidates.members` where combinations have different sizes."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """An ordered set of perturbations.

    Attributes:
        labels: "A" or "A+B", in current gene names.
        members: node numbers of each one's genes, filled with `NO_MEMBER`.
        renamed: old symbols that were given, with the current names.
        dropped: candidates as given that were left out, with the reason.
    """

    labels: tuple[str, ...]
    members: Int[np.ndarray, "candidates arity"]
    renamed: dict[str, str]
    dropped: dict[str, str]

    def __len__(self) -> int:
        return len(self.labels)

    def gene_sets(self) -> list[frozenset[int]]:
        """The genes of each candidate, whatever their order: equal sets are the same perturbation."""
        return [frozenset(row) - {NO_MEMBER} for row in self.members.tolist()]

    def take(self, rows: Int[np.ndarray, " rows"]) -> "Candidates":
        """Some of the candidates, in the order of `rows`."""
        labels = tuple(self.labels[i] for i in rows)
        return Candidates(labels, self.members[rows], self.renamed, self.dropped)

    def without(self, others: "Candidates") -> "Candidates":
        """The candidates that are not among `others`, in their order."""
        excluded = set(others.gene_sets())
        if not excluded:
            return self
        return self.take(np.array([i for i, genes in enumerate(self.gene_sets()) if genes not in excluded], np.int64))

    def joined(self, others: "Candidates") -> "Candidates":
        """These candidates and then `others`, of which none may be among them."""
        arity = max(self.members.shape[1], others.members.shape[1])
        padded = [
            np.pad(part.members, ((0, 0), (0, arity - part.members.shape[1])), constant_values=NO_MEMBER)
            for part in (self, others)
        ]
        return Candidates(
            self.labels + others.labels,
            np.concatenate(padded),
            self.renamed | others.renamed,
            self.dropped | others.dropped,
        )

    def indices(self) -> Int[np.ndarray, " candidates"] | Int[np.ndarray, "candidates arity"]:
        """Node numbers: one per candidate where all are single genes, else rows filled with `NO_MEMBER`."""
        return self.members[:, 0] if self.members.shape[1] == 1 else self.members


def as_names(names: Iterable[str]) -> tuple[str, ...]:
    """One name, or many."""
    return (names,) if isinstance(names, str) else tuple(names)


def parse_candidates(graph: KnowledgeGraph, names: Iterable[str] | None, unknown: Unknown = "error") -> Candidates:
    """Understand candidates: gene names or combinations "A+B"; old symbols are resolved.

    Args:
        graph: the graph whose genes are meant.
        names: the candidates in order; None: every gene of the graph.
        unknown: "error", or "drop" to leave out candidates with unknown or ambiguous genes and report them.

    Raises:
        InputError: blank, malformed, repeated and, unless dropped, unknown or ambiguous names.
    """
    if names is None:
        return Candidates(graph.genes, np.arange(graph.num_nodes, dtype=np.int32)[:, None], {}, {})
    names = as_names(names)
    if not any(isinstance(name, str) and "+" in name for name in names):
        resolved = graph.names.resolve(names, unknown)
        position = graph.names.position
        members = np.array([position[gene] for gene in resolved.genes], np.int32)[:, None]
        return Candidates(resolved.genes, members, resolved.renamed, resolved.dropped)
    return _parse_combinations(graph, names, unknown)


def without(graph: KnowledgeGraph, names: Iterable[str] | None, selected: Iterable[str]) -> Candidates:
    """The candidates of `names` that are not among `selected`."""
    pool = parse_candidates(graph, names)
    return pool.without(parse_candidates(graph, selected))


def _parse_combinations(graph: KnowledgeGraph, names: tuple[str, ...], unknown: Unknown) -> Candidates:
    parts_of = {name: _parts(name) for name in names}
    every_part = dict.fromkeys(part for parts in parts_of.values() for part in parts)
    resolved = graph.names.resolve(every_part, unknown, distinct=False)
    gene_of = dict(zip(resolved.given, resolved.genes, strict=True))
    rows: list[list[int]] = []
    labels: list[str] = []
    dropped: dict[str, str] = {}
    first: dict[frozenset[int], str] = {}
    for name in names:
        lost = [part for part in parts_of[name] if part not in gene_of]
        if lost:
            dropped[name] = ", ".join(f"{part} {resolved.dropped[part]}" for part in lost)
            continue
        genes = [gene_of[part] for part in parts_of[name]]
        row = [graph.names.position[gene] for gene in genes]
        if len(set(row)) < len(row):
            raise InputError(f"{name!r} names one gene twice; give a combination of different genes")
        if frozenset(row) in first:
            raise InputError(f"{first[frozenset(row)]!r} and {name!r} are the same perturbation; give it once")
        first[frozenset(row)] = name
        rows.append(row)
        labels.append("+".join(genes))
    members = np.full((len(rows), max(map(len, rows), default=1)), NO_MEMBER, np.int32)
    for row_number, row in enumerate(rows):
        members[row_number, : len(row)] = row
    return Candidates(tuple(labels), members, resolved.renamed, dropped)


def _parts(name: str) -> list[str]:
    parts = name.split("+") if isinstance(name, str) else [name]
    if len(parts) > 1 and not all(part.strip() for part in parts):
        raise InputError(f"malformed combination {name!r}; expected gene names joined by '+', such as 'KLF1+MAP2K6'")
    return parts
