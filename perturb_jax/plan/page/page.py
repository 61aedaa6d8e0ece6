"""A plan as one page for the browser."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import scipy.sparse as sp

from perturb_jax.genes.perturbations import NO_MEMBER, Perturbations
from perturb_jax.graph.annotation import Annotation, term_names
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.graph.reach import ReachSets, reach_sets
from perturb_jax.plan.page.covered_map import COLORS, CoveredMap, color_of, draw, map_covered
from perturb_jax.plan.plan import Plan, Request
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import OutputDirectory


class SharedTerms:
    """For a gene's terms, how many of the genes it reaches carry each: the reason for the graph's edges.

    Args:
        graph: the knowledge graph; its genes that the annotation does not know carry no term.
        annotation: which genes carry which terms.
    """

    def __init__(self, graph: KnowledgeGraph, annotation: Annotation):
        row = annotation.names.position
        known = [row.get(gene, -1) for gene in graph.genes]
        whole = sp.csr_array(
            (np.ones(annotation.num_pairs, np.int32), annotation.indices, annotation.indptr),
            shape=(len(annotation.genes), len(annotation.terms) or 1),
        )
        rows = np.array(known, np.int64)
        self._carries = whole[np.maximum(rows, 0)]
        self._known = rows >= 0
        self._terms: Sequence[str] = annotation.terms
        counts = np.bincount(annotation.indices, minlength=max(len(annotation.terms), 1))
        self._rarity = np.log(len(annotation.genes) / np.maximum(counts, 1))

    def of(self, candidates: Perturbations, sets: ReachSets, pick: int) -> list[tuple[str, int]]:
        """A pick's terms and how many genes of its reach carry each, the most telling first.

        The order is by that number times log(genes / genes with the term): rare terms that the reach shares.
        """
        own = [int(node) for node in candidates.members[pick] if node != NO_MEMBER and self._known[node]]
        if not own:
            return []
        reached = sets.indices[sets.indptr[pick] : sets.indptr[pick + 1]]
        counts = np.asarray(self._carries[reached[self._known[reached]]].sum(0)).ravel()
        terms = np.unique(np.concatenate([self._carries[[node]].indices for node in own]))
        order = np.lexsort((terms, -(counts[terms] * self._rarity[terms])))
        return [(self._terms[i], int(counts[i])) for i in terms[order]]


MAX_ROWS = 2000
"""Rows of a table on the page, which says so where there are more; the files hold all."""

_TERMS = 4
_COLUMNS = {
    "rank": "rank", "gene": "gene", "cycle": "cycle", "gain": "gain", "covered": "covered", "layer": "layer",
    "sigma": "sigma", "cost": "cost", "explained": "explained", "teaches": "teaches",
}  # fmt: skip
_TEXT = ("gene", "tested gene")
_LISTS = ("teaches",)


def report_file(path: str, force: bool) -> OutputDirectory:
    """Where the page will be written, checked before the work begins.

    Raises:
        InputError: not an .html file, or one that cannot be written or exists already.
    """
    file = Path(path)
    if file.suffix.lower() not in (".html", ".htm") or path.endswith("/"):
        raise InputError(f"report: expected the path of an .html file, such as report.html, got {path!r}")
    return OutputDirectory(file.parent, (file.name,), force)


def report_page(
    graph: KnowledgeGraph,
    annotation: Annotation,
    request: Request,  # noqa: ARG001
    plan: Plan,
    record: Mapping[str, Any],
    picture: bytes,
) -> bytes:
    """The page, which names no address: style, script and pictures are inside.

    Args:
        graph: the knowledge graph.
        annotation: which genes carry which GO terms; may know none of the graph's.
        request: what was asked for.
        plan: what came of it.
        record: `plan_record` of the same.
        picture: the coverage picture, a PNG.

    Complexity: dominated by the communities of the covered graph; at most about 3 MB, at 20,000 covered genes
    and 2,000 rows.
    """
    picks, asked = plan.picks, plan.evidence.question
    picked, tested = (reach_sets(graph, some.members, asked.hops, asked.direction) for some in (picks, plan.tested))
    tested_counts = tested.counts()
    covered = map_covered(graph, (picked.counts() + tested_counts) > 0)
    label = np.full(graph.num_nodes, -1)
    label[covered.nodes] = covered.labels
    shared = SharedTerms(graph, annotation)
    result = record["result"]
    values = {
        "title": f"{len(picks)} perturbations to test",
        "subtitle": f"{asked.name}, {asked.hops} hop{'s' * (asked.hops > 1)}, direction {asked.direction}; "
        f"{graph.provenance.source}, {graph.num_nodes:,} genes",
        "facts": _facts(plan, result),
        "warnings": "".join(f'<p class="warning">{escape(warning)}</p>' for warning in plan.warnings),
        "picks": _picks_table(plan, picks, picked, label, shared),
        "curve": plan.evidence.heading,
        "teaches": plan.evidence.note,
        "picture": base64.b64encode(picture).decode(),
        "tested": _tested(plan.tested, tested, tested_counts, picked.counts(), label),
        "map": draw(covered, graph, _members(picks), _members(plan.tested)),
        "map_caption": f"{len(covered.nodes):,} genes in {covered.labels.max() + 1} groups",
        "communities": _communities(covered, graph, picks, plan.tested, label),
        "settings": _settings(record),
    }
    escaped = {
        name: escape(text) if name in ("title", "subtitle", "map_caption") else text for name, text in values.items()
    }
    template = Template(files("perturb_jax.plan.page").joinpath("page.html").read_text("utf-8"))
    return template.substitute(escaped).encode()


def _facts(plan: Plan, result: Mapping[str, Any]) -> str:
    picks, must_haves = len(plan.picks), len(plan.must)
    facts = [
        (f"{result['covered']:,}", f"genes covered, {100 * result['covered_fraction']:.1f} % of the graph"),
        (f"{result['covered before']:,}", "of them before the first pick"),
        (f"{result['random']['mean']:,.0f}", f"with {picks} random picks, on average"),
    ]
    facts = plan.evidence.facts(dict(result)) + facts
    if result["bound"] is not None:
        bounded = "no selection of this size covers more" + " with the must-haves" * (must_haves > 0)
        facts.append((f"{result['bound']:,}", bounded))
    return "".join(f"<div><b>{number}</b>{escape(words)}</div>" for number, words in facts)


def _picks_table(plan: Plan, picks: Perturbations, sets: ReachSets, label: np.ndarray, shared: SharedTerms) -> str:
    columns = [name for name in _COLUMNS if name in plan.table]
    rows = []
    shown = plan.table.head(MAX_ROWS)
    for pick, values in enumerate(shown[columns].itertuples(index=False)):
        terms = shared.of(picks, sets, pick)
        size = int(sets.indptr[pick + 1] - sets.indptr[pick])
        words = ", ".join(f"{_named(term)} ({count} of {size})" for term, count in terms[:_TERMS])
        more = f", {len(terms) - _TERMS} more" if len(terms) > _TERMS else ""
        cells = [_cell(name, value) for name, value in zip(columns, values, strict=True)]
        cells.append(_group(label[picks.members[pick][0]]))
        cells.append(f'<td class="terms" data-value="{len(terms)}">{words}{more}</td>')
        rows.append("".join(cells))
    return _table("picks", [*columns, "group", "GO terms"], rows, len(plan.table), "picks.csv")


def _named(term: str) -> str:
    """A term by its name, with its id where the pointer rests; by its id where the name is not known."""
    name = term_names().get(term)
    return escape(term) if name is None else f'<span title="{escape(term)}">{escape(name)}</span>'


def _tested(tested: Perturbations, sets: ReachSets, counts: np.ndarray, by_picks: np.ndarray, label: np.ndarray) -> str:
    if not len(tested):
        return "<p>No gene was given as already tested.</p>"
    rows = []
    for i, name in enumerate(tested.labels):
        reached = sets.indices[sets.indptr[i] : sets.indptr[i + 1]]
        alone = np.count_nonzero(counts[reached] == 1)
        again = np.count_nonzero(by_picks[reached])
        values = {"tested gene": name, "covers": len(reached), "it alone": alone, "also by picks": again}
        rows.append("".join(_cell(*item) for item in values.items()) + _group(label[tested.members[i][0]]))
    both = np.count_nonzero((counts > 0) & (by_picks > 0))
    text = (
        f"<p>{len(tested):,} tested perturbations cover {np.count_nonzero(counts):,} genes, of which the picks reach "
        f"{both:,} again. <i>It alone</i>: genes that no other tested one covers.</p>"
    )
    headers = ["tested gene", "covers", "it alone", "also by picks", "group"]
    return text + _table("tested", headers, rows[:MAX_ROWS], len(rows), "the list that was given")


def _communities(
    covered: CoveredMap, graph: KnowledgeGraph, picks: Perturbations, tested: Perturbations, label: np.ndarray
) -> str:
    picked, done = (np.bincount(label[_members(some)], minlength=len(covered.radii)) for some in (picks, tested))
    rows = []
    for group in range(min(len(COLORS), len(covered.radii))):
        size = np.count_nonzero(covered.labels == group)
        names = [graph.genes[node] for node in _members(picks).tolist() if label[node] == group][:5]
        values = {"genes": size, "picks": int(picked[group]), "tested": int(done[group])}
        cells = _group(group) + "".join(_cell(*item) for item in values.items())
        rows.append(f'{cells}<td class="terms">{escape(", ".join(names))}</td>')
    return _table("groups", ["group", "genes", "picks", "tested", "first picks"], rows, len(rows), "")


def _settings(record: Mapping[str, Any]) -> str:
    keys = ("settings", "graph", "inputs", "versions", "candidates")
    blocks = []
    for key in keys:
        lines = "".join(
            f"<dt>{escape(str(name))}</dt><dd>{escape(_plain(value))}</dd>"
            for name, value in record[key].items()
            if value not in (None, {}, [])
        )
        if lines:
            blocks.append(f"<section><h3>{escape(key)}</h3><dl>{lines}</dl></section>")
    return "".join(blocks)


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 400 else f"{text[:400]} ... (all of it in picks.json)"


def _table(name: str, headers: Iterable[str], rows: list[str], total: int, where: str) -> str:
    head = "".join(f'<th scope="col"><button type="button">{escape(header)}</button></th>' for header in headers)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    note = f"<p>The first {len(rows):,} of {total:,}; all are in {where}.</p>" if len(rows) < total else ""
    return f'<table id="{name}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}'


def _cell(name: str, value: Any) -> str:
    if name in _TEXT:
        return f'<td class="gene">{escape(str(value))}</td>'
    if name in _LISTS:
        return f'<td class="terms">{escape(str(value))}</td>'
    text = f"{value:,}" if isinstance(value, int | np.integer) else f"{value:.3f}"
    return f'<td class="number" data-name="{name}" data-value="{value}">{text}</td>'


def _group(label: int) -> str:
    number = str(label + 1) if label < len(COLORS) else "other"
    return f'<td class="group" data-value="{label}"><i style="background:{color_of(int(label))}"></i>{number}</td>'


def _members(candidates: Perturbations) -> np.ndarray:
    """Node numbers in the order given, each once."""
    nodes = candidates.members.ravel()
    return np.array(list(dict.fromkeys(nodes[nodes != NO_MEMBER].tolist())), np.int64)
