"""Which perturbation, cell type, batch, guide and gene the cells' and genes' tables name, in whatever form."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int

from perturb_jax.genes.conditions import (
    GENE_COLUMNS,
    find,
    read_conditions,
    replicates_of,
    some,
    text_column,
)
from perturb_jax.genes.tables import matching_columns
from perturb_jax.support.errors import InputError

TooFew = Literal["error", "drop"]
"""What to do with a perturbation of fewer than 2 cells: raise, or leave it out and report it."""

RepeatedGenes = Literal["error", "sum", "unique"]
"""What to do with names that several columns have: refuse, sum the columns, or number the names."""

CELL_TYPE_COLUMNS = ("cell_type", "celltype", "cell_line")
BATCH_COLUMNS = ("batch", "gem_group", "gemgroup", "gem", "lane", "replicate", "batch_id", "sample_batch")
INDEX = "index"
"""What names a table's index instead of a column."""

_ENSEMBL = r"ENS[A-Z]*G\d+"


class Labels(NamedTuple):
    """What the cells' table says."""

    perturbations: tuple[str, ...]  # canonical names, sorted
    cell_types: tuple[str, ...]  # one where they are not distinguished
    batches: tuple[str, ...]  # one where they are not distinguished
    guides: tuple[tuple[int, str], ...]  # position in `perturbations` and name, sorted; none where there are none
    condition: np.ndarray  # of each cell: 0 for control, p + 1 for perturbation p, -1 if it is not used
    cell_type: np.ndarray  # of each cell: its position in `cell_types`
    batch: np.ndarray  # of each cell: its position in `batches`
    guide: np.ndarray  # of each cell: its position in `guides`, -1 for none
    settings: dict[str, Any]  # plain values: the keys used, which of them were not given, and what was left out


class GeneLabels(NamedTuple):
    """What the genes' table says."""

    names: tuple[str, ...]  # of each column
    key: str  # the column that they come from, or "index"
    ids: tuple[str, ...]  # Ensembl identifiers, where the index holds them and the names are others; else none


def label_cells(
    obs: pd.DataFrame,
    where: Mapping[str, object] | None,
    condition: str | None,
    control: str | Sequence[str] | None,
    cell_type: str | None,
    too_few: TooFew,
    separator: str | None = None,
    batch: str | None = None,
    genes: Collection[str] = (),
) -> Labels:
    """Read the cells' labels. Arguments as for `read_screen`; `genes` are the names of the measured ones."""
    chosen = chosen_rows(obs, where)
    table = obs[chosen]
    read = read_conditions(table, condition, control, separator, genes)
    column = read.settings["condition"]
    type_column = find(table, cell_type, "cell_type") if cell_type else None
    type_column = type_column or guessed_column(table, CELL_TYPE_COLUMNS, "cell_type")
    kinds = text_column(table, type_column) if type_column else np.full(len(table), "", object)
    used = np.array([name is not None for name in read.names])
    if type_column and (blank := int((used & (kinds == "")).sum())):
        raise InputError(f"{blank} cells have no {type_column}; name it, or leave them out with where=...")
    cell_types = tuple(sorted({kind for kind, use in zip(kinds, used, strict=True) if use}))
    names, dropped = _enough_cells(list(read.names), kinds, too_few)
    perturbations = tuple(sorted({name for name in names if name}))
    if not perturbations:
        raise InputError("only control cells; expected at least one perturbation with 2 cells")
    numbers = pd.Index(["", *perturbations], dtype=object)
    rows = numbers.get_indexer(pd.Index(names, dtype=object))  # None, for a cell that is not used, is -1
    batches, batch_of = _batches(table, batch, rows, kinds)
    guide_column = replicates_of(table, column)
    guides, guide_of = _guides(table, guide_column, rows)
    noticed = []
    if batch is None:
        for name in matching_columns(table.columns, BATCH_COLUMNS):
            if name not in (where or {}) and (count := len(set(text_column(table, name)[rows >= 0]) - {""})) > 1:
                noticed.append(
                    f"column {name} ({count} batches): changes are against all controls pooled; name it as batch to "
                    "compare with controls of the same batch"
                )
    if guides:
        noticed.append(f"column {guide_column} ({len(guides)} guides): kept as replicates")

    def of_all(values: Any, missing: int) -> np.ndarray:
        every = np.full(len(obs), missing, np.int64)
        every[chosen] = values
        return every

    types = np.maximum(pd.Index(cell_types).get_indexer(pd.Index(kinds)), 0)
    arguments: dict[str, object] = {
        "condition": condition, "control": control, "cell_type": cell_type if type_column else "",
    }  # fmt: skip
    if "separator" in read.settings:
        arguments["separator"] = separator
    settings: dict[str, Any] = {
        "guessed": [key for key, given in arguments.items() if given is None],
        "where": plain_where(where),
        "condition": column,
        "control": list(read.controls),
        "cell_type": type_column,
        "cell_types": list(cell_types) if type_column else [],
        "cells": int((rows >= 0).sum()),
        "cells_left_out": read.left_out,
        "dropped": dropped,
        **{key: read.settings[key] for key in ("separator", "conventions") if key in read.settings},
        **({"batch": batch, "batches": len(batches)} if batch is not None else {}),
        **({"noticed": noticed} if noticed else {}),
    }
    return Labels(
        perturbations, cell_types, batches, guides, of_all(rows, -1), of_all(types, 0), of_all(batch_of, 0),
        of_all(guide_of, -1), settings,
    )  # fmt: skip


def _batches(
    table: pd.DataFrame, column: str | None, rows: Int[np.ndarray, " cells"], kinds: np.ndarray
) -> tuple[tuple[str, ...], np.ndarray]:
    """The batches of the used cells, and which one each cell is of."""
    if column is None:
        return ("",), np.zeros(len(table), np.int64)
    labels = text_column(table, find(table, column, "batch"))
    used = rows >= 0
    if blank := int((used & (labels == "")).sum()):
        raise InputError(f"batch: {blank} cells have no {column}; name it, or leave them out with where=...")
    batches = tuple(sorted(set(labels[used])))
    groups = list(zip(kinds, labels, strict=True))
    controlled = {group for group, row in zip(groups, rows, strict=True) if row == 0}
    without = Counter(group for group, row in zip(groups, rows, strict=True) if row > 0 and group not in controlled)
    if without:
        named = [f"{' '.join(filter(None, group))} ({cells} cells)" for group, cells in sorted(without.items())]
        raise InputError(
            f"batch: no control cells in {len(without)} of the batches in {column!r}: {some(named)}; leave them out "
            "with where=..., or omit batch=... to compare with all controls"
        )
    return batches, np.maximum(pd.Index(batches).get_indexer(pd.Index(labels)), 0)


def _guides(
    table: pd.DataFrame, column: str | None, rows: Int[np.ndarray, " cells"]
) -> tuple[tuple[tuple[int, str], ...], np.ndarray]:
    """The guides of perturbations of which some have several, and which one each cell is of."""
    none = np.full(len(table), -1, np.int64)
    if column is None:
        return (), none
    labels = text_column(table, column)
    has = (rows > 0) & (labels != "")
    pairs = list(zip((rows[has] - 1).tolist(), labels[has].tolist(), strict=True))
    guides = tuple(sorted(set(pairs)))
    if len(guides) == len({row for row, _ in guides}):
        return (), none
    position = {guide: number for number, guide in enumerate(guides)}
    none[has] = [position[pair] for pair in pairs]
    return guides, none


def label_genes(var: pd.DataFrame, key: str | None, repeated: RepeatedGenes = "error") -> GeneLabels:
    """The genes' names, and their Ensembl identifiers. Arguments as for `read_screen`."""
    index = var.index.astype(str)
    ensembl = len(index) > 0 and bool(index.str.match(_ENSEMBL).mean() > 0.5)
    if key is None:
        key = guessed_column(var, GENE_COLUMNS, "gene_names") or INDEX
        if key != INDEX and not ensembl and list(index) != list(var[key].astype(str)):
            raise InputError(
                f"the genes' index and their column {key!r} differ; choose gene_names={key!r} or gene_names={INDEX!r}"
            )
    elif key != INDEX:
        key = find(var, key, "gene_names")
    own = [name.strip() for name in index]
    names = own if key == INDEX else text_column(var, key, missing=False).tolist()
    if ensembl:  # genes without a symbol go by what they have
        names = [name if name and name.lower() != "nan" else other for name, other in zip(names, own, strict=True)]
    if len(names) == 0:
        raise InputError("no gene in var; expected at least one")
    if blank := names.count(""):
        raise InputError(f"{blank} genes have no name in {key!r}; choose others with gene_names=...")
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice and repeated == "error":
        raise InputError(
            f"{len(twice)} gene names stand for several columns ({some(twice)}); sum these with repeated_genes='sum', "
            "number the names with repeated_genes='unique', or choose other names with gene_names=..."
        )
    names = numbered(names) if twice and repeated == "unique" else names
    return GeneLabels(tuple(map(str, names)), key, tuple(own) if ensembl and names != own else ())


def numbered(names: Sequence[str]) -> list[str]:
    """The names, each once: those that came before get a number, as scanpy gives them.

    Examples:
        >>> numbered(["A", "B", "A", "A-1", "A"])
        ['A', 'B', 'A-2', 'A-1', 'A-3']
    """
    taken, count = set(names), Counter[str]()
    given = []
    for name in names:
        one = name
        while count[name] and one in taken:
            one = f"{name}-{count[name]}"
            count[name] += 1
        count[name] += not count[name]
        taken.add(one)
        given.append(one)
    return given


def chosen_rows(obs: pd.DataFrame, where: Mapping[str, object] | None) -> np.ndarray:
    """Which rows have the wanted values in every named column [rows]."""
    chosen = np.ones(len(obs), bool)
    for key, value in (where or {}).items():
        labels = text_column(obs, find(obs, key, "where"), missing=False)
        values = {str(value)} if np.isscalar(value) else {str(one) for one in value}  # type: ignore[attr-defined]
        unknown = sorted(values - set(labels))
        if unknown:
            raise InputError(f"where: no cell with {key} = {unknown[0]!r}; found {some(sorted(set(labels)))}")
        chosen &= np.isin(labels, list(values))
    if not chosen.any():
        raise InputError("no cell is left; expected perturbed and control cells; widen where=...")
    return chosen


def plain_where(where: Mapping[str, object] | None) -> dict[str, object]:
    """Plain values, for reports."""
    return {key: value if np.isscalar(value) else list(value) for key, value in (where or {}).items()}  # type: ignore[call-overload]


def guessed_column(table: pd.DataFrame, known: Collection[str], argument: str) -> str | None:
    """The column that is called like this, if all that are say the same."""
    found = matching_columns(table.columns, known)
    said = [text_column(table, name, missing=False) for name in found]
    if any((labels != said[0]).any() for labels in said[1:]):
        raise InputError(f"the columns {', '.join(found)} differ; choose one with {argument}=...")
    return found[0] if found else None


def _enough_cells(
    names: list[str | None], kinds: np.ndarray, too_few: TooFew
) -> tuple[list[str | None], dict[str, str]]:
    """Refuse or leave out perturbations that no test of differential expression is possible for."""
    cells = Counter(zip(names, kinds, strict=True))
    enough = {name for (name, _), number in cells.items() if name and number >= 2}
    small = dict.fromkeys(sorted({name for name in names if name} - enough), "fewer than 2 cells")
    averages = "; if each row is an average over cells, read them as a pseudobulk with pseudobulk=True"
    hint = averages if small and not enough else ""
    for kind in sorted({kind for name, kind in cells if name}):
        if cells["", kind] < 2:
            among = f" of {kind!r}, which has perturbed ones" if kind else ""
            raise InputError(
                f"expected at least 2 control cells{among}, got {cells['', kind]}; leave "
                f"them out with where=..., or add control cells{hint}"
            )
    if small and too_few == "error":
        raise InputError(
            f"{len(small)} perturbations have fewer than 2 cells ({some(small)}); leave them "
            f"out with too_few='drop'{hint}"
        )
    return [None if name in small else name for name in names], small
