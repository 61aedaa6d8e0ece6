"""The contract of kernels, from whatever source: how similar the effects of two perturbations are expected to be.

Two layers. `Kernel` is what everything that learns or designs needs; whatever follows from a kernel's blocks is written
here, once. `Source` is a kernel that knows some genes of its own: it says what these have in common, and the rest (sums
of a combination's genes, unit diagonal, genes that it does not know) is the same for every source.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, cast

import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int

from perturb_jax.genes.perturbations import NO_MEMBER, join_members, parse_perturbations
from perturb_jax.genes.symbols import GeneNames
from perturb_jax.support.errors import InputError
from perturb_jax.support.loops import sum_of_outer_products

CHUNK = 512
"""Rows of a kernel that are held at once."""

Block = sp.csr_array | np.ndarray


@dataclass(frozen=True, eq=False)
class Rows:
    """Perturbations as rows of a kernel: made by `Kernel.rows`, to be handed back to that kernel.

    Attributes:
        members: their genes, as the kernel numbers them, filled with `NO_MEMBER`.
        scale: what their rows are multiplied with.
        variance: their prior variance, the kernel's diagonal.
        parts: the same perturbations as rows of each source, where the kernel is a sum.
    """

    members: Int[np.ndarray, "rows arity"]
    scale: Float[np.ndarray, " rows"]
    variance: Float[np.ndarray, " rows"]
    parts: tuple["Rows", ...] = ()

    def __len__(self) -> int:
        return len(self.scale)

    def take(self, rows: Int[np.ndarray, " some"]) -> "Rows":
        """Some of the rows, in the order given."""
        parts = tuple(part.take(rows) for part in self.parts)
        return Rows(self.members[rows], self.scale[rows], self.variance[rows], parts)

    def joined(self, others: "Rows") -> "Rows":
        """These rows and then others of the same kernel."""
        return Rows(
            join_members(self.members, others.members),
            np.concatenate([self.scale, others.scale]),
            np.concatenate([self.variance, others.variance]),
            tuple(part.joined(other) for part, other in zip(self.parts, others.parts, strict=True)),
        )


class FeatureMap(NamedTuple):
    """Features F [rows, features] on a device, as functions: `reads` is x -> F x, `read_by` is y -> F^T y."""

    reads: Partial
    read_by: Partial


class Kernel(ABC):
    """How similar the effects of perturbations are: a positive semidefinite function of two sets of genes.

    Attributes:
        names: the genes, in order; old symbols are resolved.
    """

    names: GeneNames

    @abstractmethod
    def rows(self, members: Int[np.ndarray, "rows arity"]) -> Rows:
        """Perturbations, as positions of their genes in `names`, as rows of this kernel."""

    @abstractmethod
    def between(self, some: Rows, others: Rows) -> Iterator[tuple[slice, Block]]:
        """The kernel on the host, slice by slice of `some`: blocks [rows of the slice, others] in float64."""

    @abstractmethod
    def times(self, some: Rows, others: Rows) -> Partial:
        """The kernel on a device: a function from a vector over `others` to one over `some`, a pytree."""

    @abstractmethod
    def over(self, genes: GeneNames | Iterable[str]) -> "Kernel":
        """The same kernel over other genes; one that it does not know is independent of all others."""

    @abstractmethod
    def description(self) -> dict[str, Any]:
        """What it is made of, in plain values; "kernel" is the kind."""

    def features(self, members: Int[np.ndarray, "rows arity"]) -> Iterator[tuple[slice, Block]]:  # noqa: ARG002
        """Rows of a feature map F with K = F F^T before it is scaled, slice by slice of the perturbations.

        Raises:
            InputError: a kernel without a feature map.
        """
        raise InputError(f"the {self.label} kernel has no feature map; use a graph's kernel, or do without embeddings")

    def feature_map(self, members: Int[np.ndarray, "rows arity"]) -> FeatureMap:  # noqa: ARG002
        """Features of at least 0 on a device, those of each perturbation scaled so that the largest is 1.

        Raises:
            InputError: a kernel without such features.
        """
        raise InputError(f"the {self.label} kernel has no features of at least 0; use a graph or its kernel")

    @property
    def genes(self) -> tuple[str, ...]:
        """The names of the genes."""
        return self.names.genes

    @property
    def known(self) -> GeneNames:
        """The genes that the kernel knows something of; the others are independent of all."""
        return self.names

    @property
    def label(self) -> str:
        """What it is called beside others."""
        return str(self.description()["kernel"])

    def matrix(self, a: Iterable[str] | None = None, b: Iterable[str] | None = None) -> Float[np.ndarray, "a b"]:
        """The kernel between perturbations, dense: genes or combinations "A+B".

        Args:
            a: rows; None: every gene.
            b: columns; None: those of `a`.

        Raises:
            InputError: names that are not among the genes.
        """
        rows = self.rows(parse_perturbations(self.names, a).members)
        if b is None:
            return self.gram(rows)
        return as_dense(self.covariance(rows, self.rows(parse_perturbations(self.names, b).members)))

    def diagonal(self, names: Iterable[str] | None = None) -> Float[np.ndarray, " names"]:
        """The prior variance of perturbations; None: of every gene."""
        return self.rows(parse_perturbations(self.names, names).members).variance

    def covariance(self, some: Rows, others: Rows) -> Block:
        """The kernel between some perturbations and others, [some, others]: sparse where it is sparse."""
        blocks = [block for _, block in self.between(some, others)]
        if not blocks or any(isinstance(block, np.ndarray) for block in blocks):
            return np.concatenate([np.zeros((0, len(others))), *map(as_dense, blocks)])
        return sp.csr_array(sp.vstack([sp.csr_array(block) for block in blocks]))

    def gram(self, rows: Rows) -> Float[np.ndarray, "rows rows"]:
        """The kernel among some perturbations, dense."""
        gram = np.empty((len(rows), len(rows)))
        for part, block in self.between(rows, rows):
            gram[part] = as_dense(block)
        return gram

    def target_gram(
        self, rows: Rows, targets: Rows, weights: Float[np.ndarray, " targets"]
    ) -> Float[np.ndarray, "rows rows"]:
        """B = sum over targets t of w_t K_ut K_tv, dense: O(targets x rows^2), less where the kernel is sparse."""
        half = self.covariance(rows, targets) * np.sqrt(weights)[None, :]
        if isinstance(half, np.ndarray):
            return half @ half.T
        columns = half.tocsc()
        return sum_of_outer_products(columns.indptr, columns.indices, columns.data, len(rows))

    def target_gram_diagonal(
        self, rows: Rows, targets: Rows, weights: Float[np.ndarray, " targets"]
    ) -> Float[np.ndarray, " rows"]:
        """The diagonal of `target_gram`, without the rest."""
        return np.concatenate([(block * block) @ weights for _, block in self.between(rows, targets)])

    def __add__(self, other: "Kernel") -> "Kernel":
        return self._summed([self, other], [1.0, 1.0])

    def __mul__(self, weight: int | float) -> "Kernel":
        return self._summed([self], [weight])

    __rmul__ = __mul__

    @staticmethod
    def _summed(kernels: Sequence["Kernel"], weights: Sequence[int | float]) -> "Kernel":
        from perturb_jax.kernel.sums import SumKernel  # which needs this class

        return SumKernel(kernels, weights)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.description().items() if name != "kernel")
        return f"{type(self).__name__}({len(self.names)} genes, {settings})"


class Source(Kernel):
    """A kernel that knows some genes: a combination is the sum of its genes' features, scaled to unit length.

    What a gene is numbered by inside is its unit: its position among the genes that the source knows, or, for a gene
    that it does not know, a number after them that no other gene has. A subclass says what units have in common.
    """

    def __init__(self, known: GeneNames, normalize: bool = True):
        self.names = self._known = known
        self.normalize = normalize
        self._units: Int[np.ndarray, " genes"] | None = None  # None: a gene's unit is its position
        self.num_units = len(known)

    @abstractmethod
    def _squares(self, members: Int[np.ndarray, "rows arity"]) -> Float[np.ndarray, " rows"]:
        """The kernel's diagonal before it is scaled; `members` are units."""

    @property
    def known(self) -> GeneNames:
        """The genes that the source knows."""
        return self._known

    def rows(self, members: Int[np.ndarray, "rows arity"]) -> Rows:
        """Perturbations as rows of this kernel, with their prior variances."""
        units = self.units_of(members)
        lengths, ones = self._squares(units), np.ones(len(members))
        if self.normalize and not (lengths > 0).all():
            genes = [self.genes[member] for member in members[lengths.argmin()] if member != NO_MEMBER]
            raise InputError(f"{'+'.join(genes)}: features that cancel have no direction; omit this combination")
        return Rows(units, 1 / np.sqrt(lengths), ones) if self.normalize else Rows(units, ones, lengths)

    def sums(self, units: Int[np.ndarray, "rows arity"]) -> Iterator[tuple[slice, sp.csr_array]]:
        """Perturbations as sums of units, slice by slice: 1 at each of their genes."""
        for start in range(0, len(units), CHUNK):
            yield slice(start, start + CHUNK), incidence(units[start : start + CHUNK], self.num_units)

    def units_of(self, members: Int[np.ndarray, "rows arity"]) -> Int[np.ndarray, "rows arity"]:
        """Positions of genes in `names` as units."""
        return members if self._units is None else np.where(members == NO_MEMBER, NO_MEMBER, self._units[members])

    def over(self, genes: GeneNames | Iterable[str]) -> "Source":
        """The same kernel over other genes; one that the source does not know is independent of all others."""
        names = genes if isinstance(genes, GeneNames) else GeneNames(tuple(genes), where="the kernel")
        if names == self.names:
            return self
        units = positions(self.known, names)
        new = units == NO_MEMBER
        units[new] = len(self.known) + np.arange(new.sum())
        other = copy(self)
        for name, value in vars(type(self)).items():
            if isinstance(value, cached_property):
                other.__dict__.pop(name, None)
        other.names, other._units, other.num_units = names, units, len(self.known) + int(new.sum())
        return other


class Members(NamedTuple):
    """Rows on a device: their units, beyond the last where there are fewer, and what their rows are multiplied with."""

    units: Int[Array, "rows arity"]
    scale: Float[Array, " rows"]

    def gather(self, values: Float[Array, " units"]) -> Float[Array, " rows"]:
        """The sum of each row's units, scaled."""
        return self.scale * values.at[self.units].get(mode="fill", fill_value=0).sum(1)

    def spread(self, values: Float[Array, " rows"], num_units: int) -> Float[Array, " units"]:
        """The transpose of `gather`."""
        scaled = jnp.broadcast_to((self.scale * values)[:, None], self.units.shape)
        return jnp.zeros(num_units, values.dtype).at[self.units].add(scaled, mode="drop")


def on_device(rows: Rows, source: Source) -> Members:
    """Rows of a source on the default device."""
    units = np.where(rows.members == NO_MEMBER, source.num_units, rows.members)
    return Members(jnp.asarray(units), jnp.asarray(rows.scale, float))


def incidence(members: Int[np.ndarray, "rows arity"], columns: int) -> sp.csr_array:
    """One row per perturbation, 1 at each of its genes."""
    rows, positions = np.nonzero(members != NO_MEMBER)
    return sp.csr_array((np.ones(len(rows)), (rows, members[rows, positions])), shape=(len(members), columns))


def scaled(block: Block, left: Float[np.ndarray, " rows"], right: Float[np.ndarray, " columns"] | None = None) -> Block:
    """A block with its rows, and its columns, multiplied."""
    for factor in (left[:, None], None if right is None else right[None, :]):
        if factor is not None and not (factor == 1).all():
            block = block * factor if isinstance(block, np.ndarray) else sp.csr_array(block.multiply(factor))
    return block


def as_dense(block: Block) -> np.ndarray:
    """A block as a NumPy array."""
    return block if isinstance(block, np.ndarray) else cast(np.ndarray, block.toarray())


def positions(known: GeneNames, names: GeneNames) -> Int[np.ndarray, " names"]:
    """Where each of `names` stands among the known genes, by name, else by old symbol; `NO_MEMBER`: nowhere."""
    found = {gene: known.position[gene] for gene in names.genes if gene in known.position}
    taken = set(found.values())
    for gene in names.genes:
        position = known.position.get(_current(known, gene), NO_MEMBER)
        if gene not in found and position not in taken and position != NO_MEMBER:
            found[gene] = position
            taken.add(position)
    for gene, position in known.position.items():
        current = _current(names, gene)
        if position not in taken and gene not in names.position and current in names.position:
            found.setdefault(current, position)
    return np.array([found.get(gene, NO_MEMBER) for gene in names.genes], np.int64)


def _current(names: GeneNames, old: str) -> str:
    """What an old symbol stands for, if that is one gene; else an empty name, which no gene has."""
    choices = names.aliases.get(old, ())
    return choices[0] if len(choices) == 1 else ""


def union(sets: Sequence[GeneNames]) -> GeneNames:
    """All genes of several sets, in order; an old symbol in one is the gene that another has a current name for."""
    first = sets[0]
    genes, aliases = list(first.genes), dict(first.aliases)
    for names in sets[1:]:
        if names == first:
            continue
        only = set(genes) - set(names.genes)
        known = set(genes) | {old for old, choices in aliases.items() if len(choices) == 1 and choices[0] in only}
        known |= {choices[0] for old, choices in names.aliases.items() if len(choices) == 1 and old in only}
        genes += [gene for gene in names.genes if gene not in known]
        aliases = {**names.aliases, **aliases}
    return first if len(genes) == len(first) else GeneNames(genes, aliases, "the kernel")
