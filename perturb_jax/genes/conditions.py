"""What the labels of cells mean: which column holds them, and how laboratories write genes, pairs, guides and controls.

A label becomes the name of a perturbation ("A", "A+B" with genes in sorted order), "" for control, or is missing. Every
reader of screens and of their perturbations goes by these rules; `Conditions.settings` says which were applied.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from perturb_jax.genes.perturbations import GENE_CTRL, control_kind
from perturb_jax.genes.tables import find_column, is_missing, matching_columns
from perturb_jax.support.checks import listed
from perturb_jax.support.errors import InputError

CONDITION_COLUMNS = (
    "condition", "perturbation", "gene", "target", "target_gene", "gene_target", "perturbed_gene", "guide_target",
    "gene_transcript",
)  # fmt: skip
"""Columns that hold conditions."""

GUIDE_COLUMNS = (
    "guide_id", "guide_ids", "guide_identity", "guide", "guides", "guide_merged", "sgrna", "sgrna_id", "grna",
    "grna_id", "sgid", "sgid_ab", "gene_guide",
)  # fmt: skip
"""Columns that hold guides: conditions where there is no column of these, else replicates of conditions."""

GENE_COLUMNS = (
    "gene_name", "gene_names", "gene_symbol", "gene_symbols", "symbol", "feature_name", "gene_short_name",
    "hgnc_symbol",
)  # fmt: skip
"""Columns of the genes' table that hold their names."""

SEPARATORS = ("_", "|", ";", "&", ",", "/", ":")
"""What joins the genes of a combination, besides "+", where that shows."""

_SHOWN = 6


class Conditions(NamedTuple):
    """What the labels say, row by row."""

    names: np.ndarray  # canonical name, "" for control, None for a row that is not used [rows]
    controls: tuple[str, ...]  # the labels that are control
    left_out: dict[str, int]  # rows that are not used, by reason
    settings: dict[str, Any]  # which rules were applied, as far as not all labels are plain


class _Convention(NamedTuple):
    """A way to write a label."""

    pattern: re.Pattern[str]
    genes: str  # of the match: what stands for its genes, as `re.Match.expand` takes it
    said: str


_CONVENTIONS = (
    _Convention(
        re.compile(r"(?P<a>[^_+]+)_(?P<b>[^_+]+)__(?P=a)_(?P=b)"), r"\g<a>+\g<b>", "guide pairs: A_B__A_B is A+B"
    ),
    _Convention(
        re.compile(r"\d+_(?P<gene>.+)_[^_]+_(?:ENSG\d+(?:\.\d+)?|non-targeting|nan)"), r"\g<gene>",
        "NUMBER_GENE_PROMOTER_ENSEMBL is GENE",
    ),
    _Convention(
        re.compile(r"(?P<gene>[^_|]+)_[+-]_\d+\.[\d.\-A-Za-z]+(?:\|(?P=gene)_[+-]_\d+\.[\d.\-A-Za-z]+)*"), r"\g<gene>",
        "GENE_STRAND_POSITION is GENE",
    ),
    _Convention(
        re.compile(r"[pm][-_](?:sg)?(?P<gene>INTERGENIC|NTC?)[-_]?\w*"), r"\g<gene>", "p-INTERGENIC1 is control"
    ),
    _Convention(re.compile(r"(?:[pm][-_])?sg(?P<gene>[A-Z0-9][\w.\-]*?)[-_]g?\d+"), r"\g<gene>", "p-sgGENE-1 is GENE"),
    _Convention(re.compile(r"(?:[pm][-_])?sg(?P<gene>[A-Z][A-Z0-9]{2,})"), r"\g<gene>", "sgGENE is GENE"),
    _Convention(
        re.compile(r"(?P<gene>[A-Za-z0-9.\-]+)(?:\(mod\))?_p[A-Z]{2,3}\d{3}"), r"\g<gene>", "GENE_PLASMID is GENE"
    ),
)  # fmt: skip
"""Forms that are nothing else: Norman's pairs of guides, Replogle's populations, Dixit's and Adamson's guides."""

_SYMBOL = re.compile(r"[A-Z][A-Z0-9.\-]+(orf\d+)?")
"""What a human gene's symbol is like."""

_GUIDE = re.compile(r"(?P<gene>.+?)[-_.](?:sg|g|guide|grna|sgrna)?[-_.]?\d{1,3}", re.IGNORECASE)


def read_conditions(
    table: pd.DataFrame,
    column: str | None = None,
    control: str | Sequence[str] | None = None,
    separator: str | None = None,
    known: Collection[str] = (),
    needs_control: bool = True,
) -> Conditions:
    """Understand the labels of cells.

    Args:
        table: the cells' table.
        column: the one with the conditions; None: see `condition_column`. The one used is in `settings`.
        control: what control cells are called, one name or several; None: the usual names.
        separator: what joins the genes of a combination besides "+"; None: what shows by other labels, the known genes
            or a column "nperts".
        known: names of genes, such as the measured ones: they tell "A_B" from a gene of that name.
        needs_control: refuse labels of which none is control, and several kinds of control of which none is chosen.

    Raises:
        InputError: no such column, or none that is clear; labels with a blank part; no control where one is needed.

    Complexity: O(rows + labels).

    Examples:
        >>> cells = pd.DataFrame({"perturbation": ["control", "KLF1_MAP2K6", "KLF1", "MAP2K6", "nan"]})
        >>> list(read_conditions(cells).names)
        ['', 'KLF1+MAP2K6', 'KLF1', 'MAP2K6', None]
    """
    given = [control] if isinstance(control, str) else list(control or ())
    key = find(table, column, "condition") if column else condition_column(table, given, known)
    labels = condition_labels(table, key, given)
    return understood(labels, key, given, separator, known, _arity(table, labels), needs_control)


def condition_column(table: pd.DataFrame, controls: Sequence[str] = (), known: Collection[str] = ()) -> str:
    """The column with the conditions: the one that is called so, or the one with the guides.

    Of several that group the cells alike, the one in which controls and known genes are named.

    Raises:
        InputError: none, or several that group the cells differently.
    """
    found = matching_columns(table.columns, CONDITION_COLUMNS) or matching_columns(table.columns, GUIDE_COLUMNS)
    if not found:
        raise InputError(f"which column names the condition? Name it with condition=...; found {some(table.columns)}")
    if len(found) == 1:
        return found[0]
    said = {}
    for name in found:
        labels = condition_labels(table, name, controls)
        try:
            names = understood(labels, name, controls, None, known, _arity(table, labels), False).names
        except InputError:
            names = labels
        said[name] = np.array(["?" if one is None else one for one in names], object)
    first = said[found[0]]
    if all((names == first).all() for names in said.values()):
        return found[0]
    groups = pd.DataFrame({name: pd.factorize(names)[0] for name, names in said.items()})
    if len(groups.drop_duplicates()) != max(groups.nunique()) or groups.nunique().nunique() > 1:
        raise InputError(f"the columns {', '.join(found)} differ; choose one with condition=...")
    genes = set(known)
    of = {name: set(names) for name, names in said.items()}
    return max(found, key=lambda name: ("" in of[name], len(of[name] & genes), -sum(map(_is_identifier, of[name]))))


def find(table: pd.DataFrame, column: str, argument: str) -> str:
    """A column by its name, without regard to case and blanks."""
    found = find_column(map(str, table.columns), column)
    if found is None:
        raise InputError(f"{argument}: no column {column!r}; found {some(table.columns)}")
    return found


def text_column(table: pd.DataFrame, column: str, missing: bool = True) -> np.ndarray:
    """A column as stripped text; missing values blank, words for them too unless they are wanted [rows]."""
    codes, labels = pd.factorize(table[column])
    texts = [str(label).strip() for label in labels]
    if missing:
        texts = ["" if is_missing(text) else text for text in texts]
    return np.array([*texts, ""], object)[codes]  # code -1: missing


def condition_labels(table: pd.DataFrame, column: str, controls: Collection[str] = ()) -> np.ndarray:
    """The labels in a column, missing ones blank, unless controls are called by a word for that [rows]."""
    return text_column(table, column, missing=not any(map(is_missing, controls)))


def some(names: Collection[object]) -> str:
    """The first of some names, for a message."""
    shown = ", ".join(map(str, list(names)[:_SHOWN]))
    return f"{shown:.200}{f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''}" or "none"


def understood(
    labels: np.ndarray,
    column: str,
    given: Sequence[str] = (),
    separator: str | None = None,
    known: Collection[str] = (),
    arity: Mapping[str, int] = MappingProxyType({}),
    needs_control: bool = False,
) -> Conditions:
    """What labels say: `read_conditions`, of labels [rows] whatever they come from.

    `column` is what messages call them, `given` the controls, `arity` how many genes some labels have.
    """
    cells = Counter(labels[labels != ""])
    distinct = sorted(cells)
    whole = {label for name in given for label in _alike(name, distinct)}
    written, said, joined = _written(distinct, whole, separator, set(known), arity)
    every_part = {part for parts in written.values() for part in parts}
    wanted = whole | {part for name in given for part in _alike(name, every_part)}
    for name in given:
        if not any(_alike(name, parts) >= set(parts) for parts in written.values()):
            raise InputError(f"control: no cell with {column} = {name!r}; found {some(distinct)}")
    kind_of = _kinds(written, wanted)
    name_of: dict[str, str | None] = {
        label: "+".join(sorted({part for part in parts if not kind_of[part]})) for label, parts in written.items()
    }
    controls = [label for label, name in name_of.items() if name == ""]
    if needs_control and not controls:
        raise InputError(
            f"no control cells in {column!r} (expected a label such as 'ctrl'); name them with control=...; "
            f"{_likely(cells, written, set(known))}"
        )
    if needs_control and not given and len({kind_of[part] for label in controls for part in written[label]}) > 1:
        raise InputError(f"several kinds of control ({some(controls)}); choose with control=...")
    left_out = {"no condition": blank} if (blank := int((labels == "").sum())) else {}
    for label in controls:
        if given and not wanted >= set(written[label]):
            name_of[label] = None
            left_out[label] = cells[label]
    settings: dict[str, Any] = {"condition": column}
    if joined:
        settings["separator"] = joined
    if GENE_CTRL in kind_of and not kind_of[GENE_CTRL]:
        said.append("CTRL is the gene, as controls are called otherwise")
    if said:
        settings["conventions"] = said
    names = np.array([name_of.get(label) for label in labels], object)
    return Conditions(names, tuple(label for label in controls if name_of[label] == ""), left_out, settings)


def _alike(name: str, labels: Collection[str]) -> set[str]:
    """The labels that are called so, without regard to case; else those of the same kind of control."""
    name = name.strip()
    same = {label for label in labels if label.casefold() == name.casefold()}
    if GENE_CTRL in same and len(same) > 1:
        return {GENE_CTRL} if name == GENE_CTRL else same - {GENE_CTRL}
    kind = control_kind(name)
    return same or {label for label in labels if kind and control_kind(label) == kind}


def _split(label: str, separator: str) -> list[str]:
    return [part.strip() for part in label.split(separator)]


def _written(
    distinct: Sequence[str], wanted: set[str], separator: str | None, known: set[str], arity: Mapping[str, int]
) -> tuple[dict[str, list[str]], list[str], str]:
    """The parts of every label; which conventions were met; what joins combinations besides "+"."""
    said: dict[str, str] = {}
    written: dict[str, list[str]] = {}
    plain: list[str] = []
    for label in distinct:
        if label in wanted or label in known or control_kind(label):
            written[label] = [label]
        elif (parts := _by_convention(label, said)) is not None:
            written[label] = parts
        else:
            plain.append(label)
    genes = known | {part for label in plain for part in _split(label, "+") if not _holds_separator(part)}
    genes |= {part for parts in written.values() for part in parts}

    def is_known(part: str) -> bool:
        return part in genes or part in wanted or bool(control_kind(part)) or part == GENE_CTRL

    joined = separator or _separator(plain, is_known, arity)
    for label in plain:
        parts = _split(label, "+")
        if joined and (separator or _splits(label, joined, is_known, arity)):
            parts = [one for part in parts for one in _split(part, joined)]
        written[label] = [_without_guide(part, is_known, said) for part in parts]
        if "" in written[label]:
            raise InputError(
                f"condition {label!r}: a part is blank; expected gene names joined by {joined or '+'!r}, as in "
                f"'A{joined or '+'}B'"
            )
    return written, list(said.values()), joined


def _by_convention(label: str, said: dict[str, str]) -> list[str] | None:
    """The parts of a label in one of the forms that are nothing else; of several such, joined, all of them."""
    found: list[str] = []
    for one in re.split(r"[;,+]", label) if re.match(r"(?:[pm][-_])?sg|[pm]-", label) else [label]:
        match = next(((form, hit) for form in _CONVENTIONS if (hit := form.pattern.fullmatch(one.strip()))), None)
        if match is None:
            return None
        form, hit = match
        said[form.said] = form.said
        found += hit.expand(form.genes).split("+")
    return found


def _holds_separator(part: str) -> bool:
    return any(separator in part for separator in SEPARATORS)


def _separator(labels: Sequence[str], is_known: Callable[[str], bool], arity: Mapping[str, int]) -> str:
    """What joins combinations: it parts some label into known genes, or into as many as "nperts" counts; or nothing."""
    for separator in SEPARATORS:
        for label in labels:
            parts = _split(label, separator)
            counted = 1 < arity.get(label, 0) == len(parts)
            if (
                len(parts) > 1
                and not is_known(label)
                and all(is_known(part) or (counted and _SYMBOL.fullmatch(part)) for part in parts)
            ):
                return separator
    return ""


def _splits(label: str, separator: str, is_known: Callable[[str], bool], arity: Mapping[str, int]) -> bool:
    """Whether a label is a combination: its parts are named like genes, and not against what "nperts" counts."""
    parts = _split(label, separator)
    return (
        len(parts) > 1
        and not is_known(label)
        and arity.get(label, 0) != 1
        and all(is_known(part) or _SYMBOL.fullmatch(part) for part in parts)
    )


def _without_guide(part: str, is_known: Callable[[str], bool], said: dict[str, str]) -> str:
    """The gene of a guide such as "KLF1_2" or "KLF1-g2"; what is no guide of a known gene stays as it is."""
    match = None if is_known(part) else _GUIDE.fullmatch(part)
    if match is None or control_kind(match["gene"]):
        return part
    if not is_known(match["gene"]) and not (part[match.end("gene")] == "_" and _SYMBOL.fullmatch(match["gene"])):
        return part
    said["guide"] = "GENE_1 is a guide of GENE"
    return match["gene"]


def _kinds(written: Mapping[str, Sequence[str]], wanted: set[str]) -> dict[str, str]:
    """Of every part which kind of control it is, "" if it is a gene.

    The gene CTRL is one where controls are called otherwise, alone or beside it, and a control where nothing else is.
    """
    kinds = {part: control_kind(part) for parts in written.values() for part in parts}
    kinds |= {part: part.casefold() for part in wanted}
    if GENE_CTRL in kinds and GENE_CTRL not in wanted:
        others = any(all(kinds[part] for part in parts) for parts in written.values())
        kinds[GENE_CTRL] = (
            ""
            if others
            or wanted
            or any(GENE_CTRL in parts and any(kinds[part] for part in parts) for parts in written.values())
            else "ctrl"
        )
    return kinds


def _likely(cells: Counter[str], written: Mapping[str, Sequence[str]], known: set[str]) -> str:
    """The labels that may be control: no names of genes, the most cells first."""
    shown = Counter({label: number for label, number in cells.items() if not _like_gene(label, written, known)})
    if not shown:
        shown = cells
    most = [f"{label} ({number} cells)" for label, number in shown.most_common(_SHOWN)]
    return f"the most likely of {len(cells)} labels: {listed(most, shown=_SHOWN)}"


def _like_gene(label: str, written: Mapping[str, Sequence[str]], known: set[str]) -> bool:
    return all(part in known or _SYMBOL.fullmatch(part) for part in written[label])


def _is_identifier(name: str) -> bool:
    return bool(re.fullmatch(r"ENS[A-Z]*G\d+(\.\d+)?|\d+", name))


def _arity(table: pd.DataFrame, labels: np.ndarray) -> dict[str, int]:
    """How many genes each label names, as scPerturb's column "nperts" says."""
    column = find_column(map(str, table.columns), "nperts")
    if column is None:
        return {}
    counts: np.ndarray = pd.to_numeric(table[column].astype(str), errors="coerce").to_numpy(float)
    counted = np.isfinite(counts)
    return dict(zip(labels[counted], counts[counted].astype(int).tolist(), strict=True))


def replicates_of(table: pd.DataFrame, used: str) -> str | None:
    """The column with the guides, besides the one with the conditions."""
    return next((name for name in matching_columns(table.columns, GUIDE_COLUMNS) if name != used), None)


def symbols_of(genes: pd.DataFrame) -> set[str]:
    """All that the measured genes are called: their index, and the columns with names."""
    columns = [genes[name].astype(str) for name in matching_columns(genes.columns, GENE_COLUMNS)]
    return {name.strip() for part in (genes.index.astype(str), *columns) for name in part}
