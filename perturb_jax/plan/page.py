"""A plan as one page for the browser."""

import base64
import json
from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from perturb_jax.genes.perturbations import NO_MEMBER, Perturbations
from perturb_jax.graph.annotation import Annotation, term_names
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.plan.covered_map import COLORS, CoveredMap, color_of, draw, map_covered
from perturb_jax.plan.plan import Plan
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import OutputDirectory


def shared_terms(
    graph: KnowledgeGraph, annotation: Annotation, members: np.ndarray, sets: sp.csr_array
) -> Iterator[list[tuple[str, int]]]:
    """For each pick the terms of its genes, and how many genes of its reach carry each: the reason for the edges.

    The order is by that number times log(genes / genes with the term): rare terms that many of them carry.
    """
    known, carries = annotation.names.position, annotation.matrix
    rarity = np.log(len(annotation.genes) / np.maximum(carries.sum(0), 1))
    unknown: Any = sp.csr_array((1, carries.shape[1]), dtype=np.int32)
    of_nodes = sp.csr_array(sp.vstack([carries, unknown]))[[known.get(gene, len(known)) for gene in graph.genes]]
    for genes, reached in zip(members, np.split(sets.indices, sets.indptr[1:-1]), strict=False):
        counts = of_nodes[reached].sum(0)
        terms = np.unique(of_nodes[genes[genes != NO_MEMBER]].indices)
        order = np.lexsort((terms, -(counts[terms] * rarity[terms])))
        yield [(annotation.terms[i], int(counts[i])) for i in terms[order]]


MAX_ROWS = 2000
"""Rows of a table on the page, which says so where there are more; the files hold all."""

_TERMS = 4
_COLUMNS = (
    "rank", "gene", "cycle", "gain", "covered", "layer", "sigma", "cost", "explained", "informs",
)  # fmt: skip


def report_file(path: str, force: bool) -> OutputDirectory:
    """Where the page will be written, checked before the work begins."""
    file = Path(path)
    if file.suffix.lower() not in (".html", ".htm") or path.endswith("/"):
        raise InputError(f"report: expected the path of an .html file, such as report.html, got {path!r}")
    return OutputDirectory(file.parent, (file.name,), force)


def report_page(annotation: Annotation, plan: Plan, record: Mapping[str, Any], picture: bytes) -> bytes:
    """The page, which names no address: style, script and pictures are inside.

    Complexity: dominated by the communities of the covered graph; at most about 3 MB, at 20,000 covered genes
    and 2,000 rows.
    """
    picks, tested, question = plan.picks, plan.tested, plan.evidence
    graph = question.graph
    by_picks, by_tested = map(question.reach, (picks, tested))
    covered = map_covered(graph, (by_picks.sum(0) + by_tested.sum(0)) > 0)
    label = np.full(graph.num_nodes, -1)
    label[covered.nodes] = covered.labels
    subtitle = (
        f"{question.name}, {question.hops} hop{'s' * (question.hops > 1)}, direction {question.direction}; "
        f"{graph.provenance.source}, {graph.num_nodes:,} genes"
    )
    facts = plan.evidence.facts(plan, record["result"])
    values = {
        "title": f"{len(picks)} perturbations to test",
        "subtitle": escape(subtitle),
        "facts": "".join(f"<div><b>{number}</b>{escape(words)}</div>" for number, words in facts),
        "warnings": "".join(f'<p class="warning">{escape(warning)}</p>' for warning in plan.warnings),
        "picks": _picks_table(plan, by_picks, label, annotation),
        "curve": plan.evidence.heading,
        "note": plan.evidence.note,
        "picture": base64.b64encode(picture).decode(),
        "tested": _tested(tested, by_tested, by_picks.sum(0), label),
        "map": draw(covered, graph, _members(picks), _members(tested)),
        "map_caption": f"{len(covered.nodes):,} genes in {covered.labels.max() + 1} groups",
        "communities": _communities(covered, graph, picks, tested, label),
        "settings": _settings(record),
    }
    return (
        Template(files("perturb_jax.plan").joinpath("page.html").read_text("utf-8"))
        .substitute(values)
        .encode(errors="replace")
    )


def _picks_table(plan: Plan, sets: sp.csr_array, label: np.ndarray, annotation: Annotation) -> str:
    members = plan.picks.members[:MAX_ROWS]
    terms = shared_terms(plan.evidence.graph, annotation, members, sets)
    table = plan.table[[name for name in _COLUMNS if name in plan.table]].head(MAX_ROWS)
    table = table.assign(group=label[members[:, 0]])
    table["GO terms"] = list(map(_terms, terms, np.diff(sets.indptr)))
    return _table("picks", table, len(plan.table), "picks.csv")


def _terms(terms: list[tuple[str, int]], reached: int) -> tuple[str, int]:
    words = [f"{_named(term)} ({count} of {reached})" for term, count in terms[:_TERMS]]
    more = f", {len(terms) - _TERMS} more" if len(terms) > _TERMS else ""
    return ", ".join(words) + more, len(terms)


def _named(term: str) -> str:
    """A term by its name, with its id where the pointer rests; by its id where the name is not known."""
    name = term_names().get(term)
    return escape(term) if name is None else f'<span title="{escape(term)}">{escape(name)}</span>'


def _tested(tested: Perturbations, sets: sp.csr_array, by_picks: np.ndarray, label: np.ndarray) -> str:
    if not len(tested):
        return "<p>No gene was given as already tested.</p>"
    counts = sets.sum(0)
    table = pd.DataFrame(
        {
            "tested gene": tested.labels,
            "covers": np.diff(sets.indptr),
            "it alone": sets @ (counts == 1).astype(int),
            "also by picks": sets @ (by_picks > 0).astype(int),
            "group": label[tested.members[:, 0]],
        }
    )
    both = np.count_nonzero((counts > 0) & (by_picks > 0))
    text = (
        f"<p>{len(tested):,} tested perturbations cover {np.count_nonzero(counts):,} genes, of which the picks reach "
        f"{both:,} again. <i>It alone</i>: genes that no other tested one covers.</p>"
    )
    return text + _table("tested", table.head(MAX_ROWS), len(table), "the list that was given")


def _communities(
    covered: CoveredMap, graph: KnowledgeGraph, picks: Perturbations, tested: Perturbations, label: np.ndarray
) -> str:
    shown = np.arange(min(len(COLORS), len(covered.radii)))
    names = np.array(graph.genes, object)
    picked = _members(picks)
    sizes, in_picks, in_tested = (
        np.bincount(groups, minlength=len(covered.radii))[shown]
        for groups in (covered.labels, label[picked], label[_members(tested)])
    )
    table = pd.DataFrame({"group": shown, "genes": sizes, "picks": in_picks, "tested": in_tested})
    table["first picks"] = [", ".join(names[picked[label[picked] == group][:5]]) for group in shown]
    return _table("groups", table, len(table), "")


def _settings(record: Mapping[str, Any]) -> str:
    blocks = []
    for key in ("settings", "graph", "inputs", "versions", "candidates"):
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


def _table(name: str, table: pd.DataFrame, total: int, file: str) -> str:
    head = "".join(f'<th scope="col"><button type="button">{escape(str(header))}</button></th>' for header in table)
    rows = ("".join(map(_cell, table.columns, values)) for values in table.itertuples(index=False))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    note = f"<p>The first {len(table):,} of {total:,}; all are in {file}.</p>" if len(table) < total else ""
    return f'<table id="{name}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}'


def _cell(column: str, value: Any) -> str:
    if column in ("gene", "tested gene"):
        return f'<td class="gene">{escape(value)}</td>'
    if column in ("informs", "first picks"):
        return f'<td class="terms">{escape(value)}</td>'
    if column == "GO terms":
        words, number = value
        return f'<td class="terms" data-value="{number}">{words}</td>'
    if column == "group":
        number = str(value + 1) if value < len(COLORS) else "other"
        return f'<td class="group" data-value="{value}"><i style="background:{color_of(value)}"></i>{number}</td>'
    text = f"{value:,}" if isinstance(value, int | np.integer) else f"{value:.3f}"
    return f'<td class="number" data-name="{column}" data-value="{value}">{text}</td>'


def _members(candidates: Perturbations) -> np.ndarray:
    """Node numbers in the order given, each once."""
    nodes = candidates.members.ravel()
    return np.array(list(dict.fromkeys(nodes[nodes != NO_MEMBER].tolist())), np.int64)
