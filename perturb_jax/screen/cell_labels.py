"""Which perturbation, cell type and gene the cells' and genes' tables name, in whatever form they name it."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from perturb_jax.genes.perturbations import CONTROL_NAMES, condition_name
from perturb_jax.support.errors import InputError

TooFew = Literal["error", "drop"]
"""What to do with a perturbation of fewer than 2 cells: raise, or leave it out and report it."""

CONDITION_COLUMNS = (
    "condition", "perturbation", "gene", "target", "target_gene", "gene_target", "perturbed_gene", "guide_target",
)  # fmt: skip
CELL_TYPE_COLUMNS = ("cell_type", "celltype", "cell_line")
GENE_COLUMNS = ("gene_name", "gene_names", "gene_symbol", "gene_symbols", "symbol", "feature_name")
INDEX = "index"
"""What names a table's index instead of a column."""

_SHOWN = 6


class Labels(NamedTuple):
    """What the cells' table says."""

    perturbations: tuple[str, ...]  # canonical names, sorted
    cell_types: tuple[str, ...]  # one where they are not distinguished
    condition: np.ndarray  # of each cell: 0 for control, p + 1 for perturbation p, -1 if it is not used
    cell_type: np.ndarray  # of each cell: its position in `cell_types`
    settings: dict[str, Any]  # plain values: the keys used, which of them were not given, and what was left out


def label_cells(
    obs: pd.DataFrame,
    where: Mapping[str, object] | None,
    condition: str | None,
    control: str | Sequence[str] | None,
    cell_type: str | None,
    too_few: TooFew,
) -> Labels:
    """Read the cells' labels. Arguments as for `read_screen`."""
    chosen = chosen_rows(obs, where)
    table = obs[chosen]
    column = condition or guessed_column(table, CONDITION_COLUMNS, "condition")
    if column is None:
        raise InputError(f"which column names the condition? Name it with condition=...; found {_some(obs.columns)}")
    labels = text_column(table, column, "condition")
    names, left_out, controls = _condition_names(labels, control, column)
    type_column = cell_type or guessed_column(table, CELL_TYPE_COLUMNS, "cell_type")
    kinds = text_column(table, type_column, "cell_type") if type_column else np.full(len(table), "", object)
    used = np.array([name is not None for name in names])
    if type_column and (blank := int((used & (kinds == "")).sum())):
        raise InputError(f"{blank} cells have no {type_column}; name it, or leave them out with where=...")
    cell_types = tuple(sorted({kind for kind, use in zip(kinds, used, strict=True) if use}))
    names, dropped = _enough_cells(names, kinds, too_few)
    perturbations = tuple(sorted({name for name in names if name}))
    if not perturbations:
        raise InputError("only control cells; expected at least one perturbation with 2 cells")
    codes, types = np.full(len(obs), -1, np.int64), np.zeros(len(obs), np.int64)
    numbered = pd.Index(["", *perturbations], dtype=object)
    codes[chosen] = numbered.get_indexer(pd.Index(names, dtype=object))  # None, for a cell that is not used, is -1
    types[chosen] = np.maximum(pd.Index(cell_types).get_indexer(pd.Index(kinds)), 0)
    arguments = {"condition": condition, "control": control, "cell_type": cell_type if type_column else ""}
    settings = {
        "guessed": [key for key, given in arguments.items() if given is None],
        "where": plain_where(where),
        "condition": column,
        "control": list(controls),
        "cell_type": type_column,
        "cell_types": list(cell_types) if type_column else [],
        "cells": int((codes >= 0).sum()),
        "cells_left_out": left_out,
        "dropped": dropped,
    }
    return Labels(perturbations, cell_types, codes, types, settings)


def label_genes(var: pd.DataFrame, key: str | None) -> tuple[tuple[str, ...], str]:
    """The genes' names and the column (or "index") that they come from."""
    index = var.index.astype(str)
    if key is None:
        key = guessed_column(var, GENE_COLUMNS, "gene_names") or INDEX
        ensembl = len(index) > 0 and bool(index.str.match(r"ENS[A-Z]*G\d+").mean() > 0.5)
        if key != INDEX and not ensembl and list(index) != list(var[key].astype(str)):
            raise InputError(
                f"the genes' index and their column {key!r} differ; choose gene_names={key!r} or gene_names={INDEX!r}"
            )
    names = np.array([name.strip() for name in index]) if key == INDEX else text_column(var, key, "gene_names")
    if len(names) == 0:
        raise InputError("no gene in var; expected at least one")
    if (names == "").any():
        raise InputError(f"{int((names == '').sum())} genes have no name in {key!r}; choose others with gene_names=...")
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise InputError(
            f"{len(twice)} gene names stand for several columns ({_some(twice)}); rename them, "
            "or choose other names with gene_names=..."
        )
    return tuple(map(str, names)), key


def chosen_rows(obs: pd.DataFrame, where: Mapping[str, object] | None) -> np.ndarray:
    """Which rows have the wanted values in every named column [rows]."""
    chosen = np.ones(len(obs), bool)
    for key, value in (where or {}).items():
        labels = text_column(obs, key, "where")
        values = {str(value)} if np.isscalar(value) else {str(one) for one in value}  # type: ignore[attr-defined]
        unknown = sorted(values - set(labels))
        if unknown:
            raise InputError(f"where: no cell with {key} = {unknown[0]!r}; found {_some(sorted(set(labels)))}")
        chosen &= np.isin(labels, list(values))
    if not chosen.any():
        raise InputError("no cell is left; expected perturbed and control cells; widen where=...")
    return chosen


def plain_where(where: Mapping[str, object] | None) -> dict[str, object]:
    """Plain values, for reports."""
    return {key: value if np.isscalar(value) else list(value) for key, value in (where or {}).items()}  # type: ignore[call-overload]


def text_column(table: pd.DataFrame, column: str, argument: str) -> np.ndarray:
    """A column as stripped text, missing values blank."""
    if column not in table:
        raise InputError(f"{argument}: no column {column!r}; found {_some(table.columns)}")
    codes, labels = pd.factorize(table[column])
    return np.array([*(str(label).strip() for label in labels), ""], object)[codes]  # code -1: missing


def guessed_column(table: pd.DataFrame, known: Collection[str], argument: str) -> str | None:
    """The column that is called like this, if all that are say the same."""
    found = [name for name in table.columns.map(str) if name.lower() in known]
    if len(found) > 1:
        said = [text_column(table, name, argument) for name in found]
        if argument == "condition":
            said = [np.array([_canonical_or_same(label) for label in labels]) for labels in said]
        if any((labels != said[0]).any() for labels in said[1:]):
            raise InputError(f"the columns {', '.join(found)} differ; choose one with {argument}=...")
    return found[0] if found else None


def _canonical_or_same(label: str) -> str:
    try:
        return condition_name(label)
    except InputError:
        return label


def _condition_names(
    labels: np.ndarray, control: str | Sequence[str] | None, column: str
) -> tuple[list[str | None], dict[str, int], list[str]]:
    """Of each cell the canonical name, "" for control, None if not used; what was left out; control labels."""
    given = [control] if isinstance(control, str) else list(control or ())
    wanted = {name.strip().lower() for name in given}
    distinct = sorted(set(labels) - {""})
    absent = [name for name in given if name.strip().lower() not in {label.lower() for label in distinct}]
    if absent:
        raise InputError(f"control: no cell with {column} = {absent[0]!r}; found {_some(distinct)}")
    name_of: dict[str, str | None] = {label: condition_name(label, CONTROL_NAMES | wanted) for label in distinct}
    kinds: dict[str, str] = {
        label: "+".join(sorted({part.strip().lower() for part in label.split("+")}))
        for label, name in name_of.items()
        if name == ""
    }
    if not kinds:
        raise InputError(
            f"no control cells in {column!r} (expected a label such as 'ctrl'); name them with "
            f"control=...; found {_some(distinct)}"
        )
    if not given and len(set(kinds.values())) > 1:
        raise InputError(f"several kinds of control ({_some(kinds)}); choose with control=...")
    left_out = {"no condition": blank} if (blank := int((labels == "").sum())) else {}
    for label, kind in kinds.items():
        if given and label.lower() not in wanted and kind not in wanted:
            name_of[label] = None
            left_out[label] = int((labels == label).sum())
    return [name_of.get(label) for label in labels], left_out, [label for label in kinds if name_of[label] == ""]


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
            f"{len(small)} perturbations have fewer than 2 cells ({_some(small)}); leave them "
            f"out with too_few='drop'{hint}"
        )
    return [None if name in small else name for name in names], small


def _some(names: Collection[object]) -> str:
    shown = ", ".join(map(str, list(names)[:_SHOWN]))
    return f"{shown:.200}{f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''}" or "none"
