"""Which knowledge graph: a finished edge list, or one built from an annotation; declared once for whoever asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from perturb_jax.support.errors import InputError
from perturb_jax.support.options import Options, option

if TYPE_CHECKING:
    from perturb_jax.genes.symbols import Unknown
    from perturb_jax.graph.annotation import Annotation
    from perturb_jax.graph.knowledge_graph import KnowledgeGraph


@dataclass(frozen=True)
class GraphChoice(Options):
    """A knowledge graph that is to be built; nothing is read before it is used.

    Raises:
        InputError: values that the fields do not allow, or that exclude each other.
    """

    file: Path | None = option(None, "Edge list (CSV: source, target, importance) to use instead of GO.")
    annotation: Path | None = option(None, "gene2go, GAF or GMT file to use instead of the human GO that ships here.")
    universe: Path | None = option(None, "Genes that make up the graph.", shown="all annotated")
    neighbors: int | None = option(None, "Most similar genes that each gene reads.", at_least=1, shown="20")
    min_jaccard: float | None = option(None, "Similarity that an edge must exceed.", at_least=0, below=1, shown="0.1")
    namespaces: tuple[str, ...] | None = option(None, "GO namespaces that count.", shown="BP,MF,CC")
    evidence: tuple[str, ...] | None = option(None, "Evidence codes to keep, e.g. IDA,IMP (needs an annotation file).")
    drop_evidence: tuple[str, ...] | None = option(
        None, "Evidence codes to omit, e.g. IEA,ND (needs an annotation file)."
    )
    taxon: int | None = option(
        None, "Species whose rows of a gene2go or GAF file count, an NCBI number.", at_least=1, shown="9606 of gene2go"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        of_a_file = [name for name in ("evidence", "drop_evidence", "taxon") if getattr(self, name)]
        if self.annotation is None and of_a_file:
            raise InputError(f"{', '.join(of_a_file)}: need annotation=FILE, a gene2go or GAF file")
        if self.annotation is not None and self.file is not None:
            raise InputError("file, annotation: expected one source of edges, got both; omit one")
        if self.file is not None and (rules := self._rules):
            raise InputError(f"{', '.join(rules)}: a finished edge list is used as it is; omit the option")

    @cached_property
    def known(self) -> "Annotation":
        """The annotation: the one that ships here, or a file's."""
        from perturb_jax.graph.annotation import human_annotation
        from perturb_jax.graph.annotation_files import read_annotation

        if self.annotation is None:
            return human_annotation()
        return read_annotation(self.annotation, self.evidence, self.drop_evidence or (), self.taxon)

    def build(self, unknown: "Unknown" = "error", genes: Sequence[str] | None = None) -> "KnowledgeGraph":
        """The graph.

        Args:
            unknown: "error", or "drop" to leave out names of the universe that are not annotated.
            genes: what the graph is made of where no universe is given, as far as it is annotated: those of a screen,
                say. An edge list is used whole.

        Raises:
            InputError: files and names that cannot be used.
        """
        from perturb_jax.genes.lists import read_names
        from perturb_jax.graph.edge_list import graph_from_edges
        from perturb_jax.graph.go import load_go_graph

        named: Sequence[str] | None = None if self.universe is None else read_names(self.universe)
        if self.file is not None:
            return graph_from_edges(self.file, named)
        if named is None and genes is not None:
            read = self.known.names.resolve(genes, "drop", distinct=False)
            first = {gene: name for name, gene in zip(reversed(read.given), reversed(read.genes), strict=True)}
            again = set(read.given) - set(first.values())  # a screen may name a gene by its old symbol and by its new
            named, unknown = [gene for gene in genes if gene not in again], "drop"
        return load_go_graph(named, annotation=self.known, unknown=unknown, **self._rules)  # type: ignore[arg-type]

    @property
    def files(self) -> dict[str, Path | None]:
        """The files that it reads, by what records call them."""
        return {"universe": self.universe, "graph": self.file, "annotation": self.annotation}

    @property
    def _rules(self) -> dict[str, object]:
        rules = {"neighbors": self.neighbors, "min_jaccard": self.min_jaccard, "namespaces": self.namespaces}
        return {name: value for name, value in rules.items() if value is not None}
