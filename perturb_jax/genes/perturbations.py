"""Perturbations: what their names mean ("A", "A+B", controls), and sets of them as numbers of their genes."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import overload

import numpy as np
from jaxtyping import Int

from perturb_jax.genes.symbols import GeneNames, Unknown
from perturb_jax.support.checks import listed
from perturb_jax.support.errors import InputError

GENE_CTRL = "CTRL"
"""The one gene that is called like a control (chymotrypsin-like); what screens call "ctrl" is a control."""

_CONTROLS = frozenset({
    "ctrl", "ctrls", "control", "controls", "negctrl", "negctrls", "negcontrol", "negcontrols", "negativectrl",
    "negativecontrol", "negativecontrols", "neg", "nontargeting", "nontarget", "nontargetingcontrol",
    "nontargetingcontrols", "nontargetingctrl", "nontargetingguide", "nontargetingsgrna", "nontargetcontrol",
    "nt", "ntc", "ntctrl", "ntcontrol", "sgnt", "sgntc", "sgctrl", "sgcontrol", "sgnontargeting", "safetargeting",
    "safetarget", "safetargetingcontrol", "safeharbor", "safeharbour", "intergenic", "scramble", "scrambled",
    "unperturbed", "nonperturbed", "uninfected", "untransduced", "untransfected", "wildtype",
})  # fmt: skip
"""How screens call unperturbed cells: in lower case, without what separates words, without a guide's number."""

_NEVER_NUMBERED = frozenset({"*", "wt", "mock", "gal4-4"})
_NUMBER = re.compile(r"(?<=[a-z])(?:[-_ .#]+s?g)?[-_ .#]*\d+$")


@lru_cache(1 << 16)
def control_kind(name: str) -> str:
    """Which word for unperturbed cells a name is, without its number; "" where it is none.

    The name CTRL in capitals is a gene: whether a screen means its controls by it, all of its labels say.

    Examples:
        >>> [control_kind(name) for name in ("Non-Targeting_0001", "NegCtrl0", "NTC", "CTRL", "NT5E")]
        ['nontargeting', 'negctrl', 'ntc', '', '']
    """
    if name == GENE_CTRL:
        return ""
    lower = name.strip().lower()
    if lower in _NEVER_NUMBERED:
        return lower
    word = _NUMBER.sub("", lower)
    word = lower if word == "nt" and not re.search(r"[-_ .#]", lower) else word  # NT5 is a gene, NT-5 a guide
    word = re.sub(r"[-_ .#]", "", word)
    return word if word in _CONTROLS else ""


def perturbed_genes(condition: str, controls: Collection[str] = ()) -> tuple[str, ...]:
    """The genes of a condition: none for a control, and controls within a combination do not count.

    `controls` are other names of controls, in lower case.

    Examples:
        >>> perturbed_genes("KLF1+ctrl"), perturbed_genes("ctrl"), perturbed_genes("KLF1+MAP2K6")
        (('KLF1',), (), ('KLF1', 'MAP2K6'))
    """
    parts = (part.strip() for part in condition.split("+"))
    return tuple(part for part in parts if not control_kind(part) and part.lower() not in controls)


def condition_name(condition: str, controls: Collection[str] = ()) -> str:
    """One name for all the ways to write a condition: its genes in sorted order, each once; "" for a control.

    Examples:
        >>> [condition_name(name) for name in ("ctrl+KLF1", "KLF1", "MAP2K6+KLF1", "ctrl+ctrl")]
        ['KLF1', 'KLF1', 'KLF1+MAP2K6', '']
    """
    genes = perturbed_genes(condition, controls)
    if "" in genes:
        raise InputError(f"condition {condition!r}: a part is blank; expected gene names joined by '+', as in 'A+B'")
    return "+".join(sorted(set(genes)))


def identity(perturbation: str) -> frozenset[str]:
    """What makes a perturbation that one: the set of its genes, so "A+B" and "B+A" are the same.

    Examples:
        >>> identity("B+A") == identity("A+B+ctrl")
        True
    """
    genes = frozenset(perturbed_genes(perturbation))
    if not genes or "" in genes:
        raise InputError(f"{perturbation!r} names no gene; expected 'A', or 'A+B' for a combination")
    return genes


NO_MEMBER = -1
"""Fills the rows of `Perturbations.members` where combinations have different sizes."""


@dataclass(frozen=True, eq=False)
class Perturbations:
    """An ordered set of perturbations, understood once: a sequence of labels, with the genes of each as numbers.

    Attributes:
        labels: "A" or "A+B", in current gene names.
        members: numbers of each one's genes, filled with `NO_MEMBER`.
        renamed: old symbols that were given, with the current names.
        dropped: perturbations as given that were left out, with the reason.
        known: the gene names whose positions `members` are.
    """

    labels: tuple[str, ...]
    members: Int[np.ndarray, "candidates arity"]
    renamed: dict[str, str]
    dropped: dict[str, str]
    known: GeneNames | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[str]:
        return iter(self.labels)

    @overload
    def __getitem__(self, row: int | np.integer) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> tuple[str, ...]: ...
    def __getitem__(self, row: int | np.integer | slice) -> str | tuple[str, ...]:
        return self.labels[row]

    def gene_sets(self) -> list[frozenset[int]]:
        """The genes of each candidate, whatever their order: equal sets are the same perturbation."""
        return [frozenset(row) - {NO_MEMBER} for row in self.members.tolist()]

    def take(self, rows: Int[np.ndarray, " rows"]) -> "Perturbations":
        """Some of the candidates, in the order of `rows`."""
        return replace(self, labels=tuple(self.labels[i] for i in rows), members=self.members[rows])

    def shuffled(self, seed: int) -> "Perturbations":
        """The same in a seeded random order."""
        return self.take(np.random.default_rng(seed).permutation(len(self)))

    def without(self, others: "Perturbations") -> "Perturbations":
        """The candidates that are not among `others`, in their order."""
        excluded = set(others.gene_sets())
        if not excluded:
            return self
        return self.take(np.array([i for i, genes in enumerate(self.gene_sets()) if genes not in excluded], np.int64))

    def joined(self, others: "Perturbations") -> "Perturbations":
        """These candidates and then `others`, of which none may be among them."""
        return replace(
            self,
            labels=self.labels + others.labels,
            members=join_members(self.members, others.members),
            renamed=self.renamed | others.renamed,
            dropped=self.dropped | others.dropped,
        )

    def indices(self) -> Int[np.ndarray, " candidates"] | Int[np.ndarray, "candidates arity"]:
        """Numbers of genes: one per candidate where all are single genes, else rows filled with `NO_MEMBER`."""
        return self.members[:, 0] if self.members.shape[1] == 1 else self.members


def as_names(names: "Iterable[str] | Perturbations") -> "tuple[str, ...] | Perturbations":
    """One name, or many; perturbations that are understood already stay so."""
    if isinstance(names, Perturbations):
        return names
    return (names,) if isinstance(names, str) else tuple(names)


def parse_perturbations(
    known: GeneNames, names: "Iterable[str] | Perturbations | None", unknown: Unknown = "error"
) -> Perturbations:
    """Understand perturbations: gene names or combinations "A+B"; old symbols are resolved.

    Args:
        known: the genes that are meant.
        names: the perturbations in order; None: every known gene. What was understood before is returned as it is.
        unknown: "error", or "drop" to leave out perturbations with unknown or ambiguous genes and report them.

    Raises:
        InputError: blank, malformed, repeated and, unless dropped, unknown or ambiguous names.
    """
    if isinstance(names, Perturbations):
        if names.known is known or names.known == known:
            return names
        names = names.labels
    if names is None:
        return Perturbations(known.genes, np.arange(len(known), dtype=np.int32)[:, None], {}, {}, known)
    names = (names,) if isinstance(names, str) else tuple(names)
    if any(isinstance(name, str) and "+" in name for name in names):
        return _parse_combinations(known, names, unknown)
    resolved = known.resolve(names, unknown)
    members = np.array([known.position[gene] for gene in resolved.genes], np.int32)[:, None]
    return Perturbations(resolved.genes, members, resolved.renamed, resolved.dropped, known)


def pool_and_selected(
    known: GeneNames, names: "Iterable[str] | Perturbations | None", selected: "Iterable[str] | Perturbations"
) -> tuple[Perturbations, Perturbations]:
    """The candidates of `names` that are not among `selected`, and those of `selected`."""
    given, before = parse_perturbations(known, names), parse_perturbations(known, as_names(selected))
    return given.without(before), before


def _parse_combinations(known: GeneNames, names: tuple[str, ...], unknown: Unknown) -> Perturbations:
    parts_of = {name: _parts(name) for name in names}
    every_part = dict.fromkeys(part for parts in parts_of.values() for part in parts)
    resolved = known.resolve(every_part, unknown, distinct=False)
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
        row = [known.position[gene] for gene in genes]
        if len(set(row)) < len(row):
            raise InputError(f"{name!r} names one gene twice; give a combination of different genes")
        if frozenset(row) in first:
            raise InputError(f"{first[frozenset(row)]!r} and {name!r} are the same perturbation; give it once")
        first[frozenset(row)] = name
        rows.append(row)
        labels.append("+".join(genes))
    return Perturbations(tuple(labels), _members(rows), resolved.renamed, dropped, known)


def _parts(name: str) -> list[str]:
    parts = name.split("+") if isinstance(name, str) else [name]
    if len(parts) > 1 and not all(part.strip() for part in parts):
        raise InputError(f"malformed combination {name!r}; expected gene names joined by '+', such as 'KLF1+MAP2K6'")
    return parts


def unknown_to(known: GeneNames, perturbations: Iterable[str]) -> dict[str, str]:
    """The perturbations with genes that are not known, or known by an ambiguous old symbol, and which.

    Examples:
        >>> import pandas as pd, perturb_jax as pj
        >>> edges = pd.DataFrame({"source": ["A"], "target": ["B"], "importance": [1.0]})
        >>> unknown_to(pj.graph_from_edges(edges).names, ["A", "A+X"])
        {'A+X': 'X not in the graph'}
    """
    genes_of = {name: sorted(identity(name)) for name in perturbations}
    every_gene = dict.fromkeys(gene for genes in genes_of.values() for gene in genes)
    lost = known.resolve(every_gene, "drop", distinct=False).dropped
    return {
        name: ", ".join(f"{gene} {lost[gene]}" for gene in genes if gene in lost)
        for name, genes in genes_of.items()
        if any(gene in lost for gene in genes)
    }


def nodes_of(known: GeneNames, perturbations: Sequence[str]) -> Perturbations:
    """Perturbations as numbers of their genes, old symbols resolved; the same one may come more than once."""
    unknown = [f"{name!r} ({reason})" for name, reason in unknown_to(known, perturbations).items()]
    if unknown:
        shown = listed(unknown, "; ")
        raise InputError(f"perturbations with genes that the graph does not have: {shown}; leave them out")
    sets = [sorted(identity(name)) for name in perturbations]
    resolved = known.resolve(dict.fromkeys(gene for genes in sets for gene in genes), distinct=False)
    number = {name: known.position[gene] for name, gene in zip(resolved.given, resolved.genes, strict=True)}
    rows = [sorted({number[gene] for gene in genes}) for genes in sets]
    return Perturbations(tuple(perturbations), _members(rows), resolved.renamed, {}, known)


def _members(rows: Sequence[Sequence[int]]) -> Int[np.ndarray, "rows arity"]:
    """Rows of different lengths, filled with `NO_MEMBER`."""
    members = np.full((len(rows), max(map(len, rows), default=1)), NO_MEMBER, np.int32)
    for filled, row in zip(members, rows, strict=True):
        filled[: len(row)] = row
    return members


def join_members(some: Int[np.ndarray, "rows a"], others: Int[np.ndarray, "others b"]) -> Int[np.ndarray, "both c"]:
    """Both, one after the other, filled with `NO_MEMBER` to the same width."""
    width = max(some.shape[1], others.shape[1])
    filled = [np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=NO_MEMBER) for part in (some, others)]
    return np.concatenate(filled)
