"""The command that chooses the genes of a screen; what can be set of a strategy comes from the strategies."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, make_dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import NoneType
from typing import Annotated, Any

import typer

from perturb_jax.cli import printing
from perturb_jax.cli.flags import (
    OUTPUT,
    AsJson,
    Block,
    Candidates,
    Force,
    Quiet,
    TheGraph,
    check_files,
    complete,
    names_in,
    one_of,
    with_flags,
)
from perturb_jax.strategies.registry import STRATEGIES, one_shot_names
from perturb_jax.support.checks import check_count, check_seed
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import OutputDirectory
from perturb_jax.support.options import Option, Options, option, options_of

RULES = "Rules of the choice"
DEFAULT_STRATEGY = "graphdesign"
ALL_TARGETS = "graph"
"""What --targets says for every gene of the graph."""
CONDITIONS = ("hops", "direction")
"""Options that say within which steps any strategy's picks count as covering."""
COLUMNS = {"costs": ("cost", None), "targets": ("weight", 1.0)}
"""Options that a table says: its column, and what those without one are worth."""
HELP = {
    "targets": "Genes to be predicted: a file (in a table, a column 'weight' says what each is worth), or 'graph' if "
    "really all of them.",
    "costs": "A table with a column 'cost' (genes that are not in it cost 1); the budget is then a sum.",
}


def select_command(arguments: Sequence[str] = ()) -> Callable[..., None]:
    """The command, with the options of the strategies that ship here and of the one that the arguments name."""
    names = one_shot_names()
    classes = {name: STRATEGIES.get(name) for name in names if name in STRATEGIES.built_in}
    named = _named(arguments)
    if named is not None and named not in classes and (".py:" in named or named in STRATEGIES.names):
        classes[named] = STRATEGIES.get(named)
    settings = settings_of(classes)

    @with_flags
    def select(
        *,
        budget: Annotated[int, typer.Option(help="How many perturbations to choose.")],
        output: Annotated[
            str, typer.Option("--out", metavar="<path>", help="Directory for picks.csv, picks.json and picks.png.")
        ],
        names_: Candidates,
        strategy: Annotated[
            str, typer.Option(help=one_of(names), autocompletion=complete(*names), rich_help_panel=RULES)
        ] = DEFAULT_STRATEGY,
        rules: Annotated[settings, Block(RULES)],  # type: ignore[valid-type]
        graph_: TheGraph,
        already_tested: Annotated[
            Path | None, typer.Option(help="Genes that count as covered and never appear.", rich_help_panel=RULES)
        ] = None,
        must_include: Annotated[
            Path | None, typer.Option(help="Genes that rank first and use budget.", rich_help_panel=RULES)
        ] = None,
        exclude: Annotated[
            Path | None,
            typer.Option(help="Perturbations that never appear (without A, A+B still may).", rich_help_panel=RULES),
        ] = None,
        cycles: Annotated[
            int | None,
            typer.Option(help="Rounds to divide the picks into.", show_default="5", rich_help_panel=RULES),
        ] = None,
        seed: Annotated[
            int | None,
            typer.Option(
                help="Break ties at random with this seed; for random: the draw.",
                show_default="no chance; random: 0",
                rich_help_panel=RULES,
            ),
        ] = None,
        force: Force = False,
        report: Annotated[
            str | None,
            typer.Option(
                metavar="<path>", help="Also a page for the browser: this .html file.", rich_help_panel=OUTPUT
            ),
        ] = None,
        quiet: Quiet = False,
        as_json: AsJson = False,
    ) -> None:
        """Choose the genes of a screen: a ranked list with the evidence for each pick.

        Writes picks.csv (the order for the lab), picks.json (all settings, versions and checksums) and picks.png (for
        graphdesign what stays unknown, against random picks, and targets.csv with each target's share of it; for others
        coverage against random and most connected genes, and what no selection can exceed; with --robust how often
        noise in the graph leaves each pick in place).
        """
        if strategy not in names and ".py:" not in strategy:
            raise InputError(f"strategy: expected one of {', '.join(names)}, or FILE.py:NAME; got {strategy!r}")
        given = _given(rules, strategy, classes)
        tables = {
            name: None if value == ALL_TARGETS else Path(str(value)) for name, value in given.items() if name in COLUMNS
        }
        check_count("budget", budget)
        check_seed(seed)
        names_.check()
        check_files([already_tested, must_include, exclude, *tables.values()])

        from perturb_jax.genes.lists import read_numbers
        from perturb_jax.plan.files import plan_curves, plan_file_names, plan_files, plan_record
        from perturb_jax.plan.page.page import report_file, report_page
        from perturb_jax.plan.plan import Request, make_plan

        files = OutputDirectory(output, plan_file_names(strategy), force)
        page = None if report is None else report_file(report, force)
        with printing.step("Reading the names", quiet):
            options = given | {
                name: read_numbers(path, COLUMNS[name][0], default=COLUMNS[name][1])
                for name, path in tables.items()
                if path is not None
            }
            request = Request(
                candidates=names_.names(graph_.known),
                budget=budget,
                strategy=strategy,
                hops=options.pop("hops", 1),
                direction=options.pop("direction", "in"),
                must_include=names_in(must_include),
                already_tested=names_in(already_tested),
                exclude=names_in(exclude),
                cycles=cycles,
                seed=seed,
                options=options,
                unknown=names_.unknown,
            )
        with printing.step("Building the graph", quiet):
            graph = graph_.build(names_.unknown)
            if options.get("targets") == ALL_TARGETS:
                request = replace(request, options={**options, "targets": graph.genes})
        with printing.step("Choosing", quiet):
            plan = make_plan(graph, request)
        with printing.step("Comparing", quiet):
            curves = plan_curves(graph, request, plan)
        with printing.step("Writing", quiet):
            inputs = {
                "candidates": names_.candidates, "already-tested": already_tested, "must-include": must_include,
                "exclude": exclude, **graph_.files, "costs": tables.get("costs"), "targets": tables.get("targets"),
            }  # fmt: skip
            record = plan_record(graph, request, plan, inputs, curves)
            record["settings"] |= {"candidates-go": names_.candidates_go, "column": names_.column}
            contents = plan_files(graph, request, plan, record, curves)
            if page is not None:
                html = report_page(graph, graph_.known, request, plan, record, contents["picks.png"])
            paths = files.write(contents)
            if page is not None:
                paths += page.write({page.names[0]: html})
        for warning in plan.warnings:
            printing.err.print(f"warning: {warning}", style="yellow", highlight=False, soft_wrap=True)
        if as_json:
            typer.echo(json.dumps(record, indent=2, ensure_ascii=False))
        elif not quiet:
            printing.print_plan(printing.out, plan.table, record, paths)

    return select


def settings_of(classes: Mapping[str, Any]) -> type[Options]:
    """The options of several strategies as one class of settings, none of them set.

    An option that not all of them have says in its help whose it is.
    """
    having: dict[str, dict[str, Option]] = {}
    for name, cls in classes.items():
        for one in options_of(cls) if hasattr(cls, "__dataclass_fields__") else ():
            if one.help and (one.is_plain or one.name in COLUMNS):
                having.setdefault(one.name, {})[name] = one
    fields = []
    for name, of in having.items():
        first = next(iter(of.values()))
        said = HELP.get(name, first.about.help)
        said = said.rpartition("; else ")[2] if first.about.negative else said
        if len(of) < len([cls for cls in classes.values() if options_of(cls)]):
            said = f"{', '.join(of)}: {said[:1].lower()}{said[1:]}"
        kinds = str if name in COLUMNS else _union(first.kinds)
        default = first.default
        shown = first.about.default or ("" if default in (None, MISSING) or bool in first.kinds else _said(default))
        about = first.about._replace(help=said, default=shown)
        fields.append((name, kinds | None, option(None, **_keywords(about))))
    return make_dataclass("Rules", fields, bases=(Options,), frozen=True)


def _keywords(about: Any) -> dict[str, Any]:
    values = about._asdict()
    return {("shown" if key == "default" else key): value for key, value in values.items()}


def _said(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _union(kinds: tuple[Any, ...]) -> Any:
    first, *others = [kind for kind in kinds if kind is not NoneType]
    for kind in others:
        first = first | kind
    return first


def _given(rules: Any, strategy: str, classes: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, all of them the strategy's."""
    values = {one.name: getattr(rules, one.name) for one in options_of(rules)}
    given = {name: value for name, value in values.items() if value is not None}
    having = {
        name: [of for of, cls in classes.items() if name in {one.name for one in options_of(cls)}] for name in given
    }
    for name, of in having.items():
        if strategy not in of and name not in CONDITIONS:
            raise InputError(
                f"{name}: not an option of the strategy {strategy}; omit it or choose strategy {' or '.join(of)}"
            )
    return given


def _named(arguments: Sequence[str]) -> str | None:
    """What --strategy says in a command line."""
    for word, following in pairwise([*arguments, ""]):
        if word == "--strategy":
            return following
        if word.startswith("--strategy="):
            return word.partition("=")[2]
    return None
