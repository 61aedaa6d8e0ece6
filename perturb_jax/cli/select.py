"""The command that chooses the genes of a screen; what can be set of a strategy comes from the strategies."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, make_dataclass, replace
from functools import reduce
from itertools import pairwise
from operator import or_
from pathlib import Path
from types import NoneType
from typing import Annotated, Any

import typer

from perturb_jax.cli import flags
from perturb_jax.strategies.registry import STRATEGIES, one_shot_names
from perturb_jax.support.checks import check_count, check_seed
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import OutputDirectory
from perturb_jax.support.options import Option, Options, changed_options, option, options_of

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


@dataclass(frozen=True)
class Lists(Options):
    """What is to be chosen, must be, and must not be, in which rounds."""

    already_tested: Path | None = option(None, "Genes that count as covered and never appear.")
    must_include: Path | None = option(None, "Genes that rank first and use budget.")
    exclude: Path | None = option(None, "Perturbations that never appear (without A, A+B still may).")
    cycles: int | None = option(None, "Rounds to divide the picks into.", shown="5")
    seed: int | None = option(
        None, "Break ties at random with this seed; for random: the draw.", shown="no chance; random: 0"
    )


def select_command(arguments: Sequence[str] = ()) -> Callable[..., None]:
    """The command, with the options of the strategies that ship here and of the one that the arguments name."""
    names = one_shot_names()
    classes = {name: STRATEGIES.get(name) for name in names if name in STRATEGIES.built_in}
    named = _named(arguments)
    if named is not None and named not in classes and (".py:" in named or named in STRATEGIES.names):
        classes[named] = STRATEGIES.get(named)
    settings = settings_of(classes)

    @flags.with_flags
    def select(
        *,
        budget: Annotated[int, typer.Option(help="How many perturbations to choose.")],
        output: Annotated[
            str, typer.Option("--out", metavar="<path>", help="Directory for picks.csv, picks.json and picks.png.")
        ],
        names_: flags.Candidates,
        strategy: Annotated[
            str, typer.Option(help=flags.one_of(names), autocompletion=flags.complete(*names), rich_help_panel=RULES)
        ] = DEFAULT_STRATEGY,
        rules: Annotated[settings, flags.Block(RULES)],  # type: ignore[valid-type]
        graph_: flags.TheGraph,
        lists: Annotated[Lists, flags.Block(RULES)],
        force: flags.Force = False,
        report: Annotated[
            str | None, flags.output_flag("--report", "Also a page for the browser: this .html file.", metavar="<path>")
        ] = None,
        quiet: flags.Quiet = False,
        as_json: flags.AsJson = False,
    ) -> None:
        """Choose the genes of a screen: a ranked list with the evidence for each pick.

        Writes picks.csv (the order for the lab), picks.json (all settings, versions and checksums) and picks.png (for
        graphdesign what stays unknown, against random picks, and targets.csv with how much of each target; for others
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
        check_seed(lists.seed)
        names_.check()
        flags.check_files(tables.values())

        from perturb_jax.cli import printing
        from perturb_jax.genes.lists import read_numbers
        from perturb_jax.plan.files import plan_file_names, plan_files, plan_record
        from perturb_jax.plan.page import report_file, report_page
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
                must_include=flags.names_in(lists.must_include),
                already_tested=flags.names_in(lists.already_tested),
                exclude=flags.names_in(lists.exclude),
                cycles=lists.cycles,
                seed=lists.seed,
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
            _ = plan.comparison  # made when it is first read
        with printing.step("Writing", quiet):
            inputs = {
                "candidates": names_.candidates, "already-tested": lists.already_tested,
                "must-include": lists.must_include, "exclude": lists.exclude, **graph_.files,
                "costs": tables.get("costs"), "targets": tables.get("targets"),
            }  # fmt: skip
            record = plan_record(plan, inputs)
            record["settings"] |= {"candidates-go": names_.candidates_go, "column": names_.column}
            contents = plan_files(plan, record)
            if page is not None:
                html = report_page(graph_.known, plan, record, contents["picks.png"])
            paths = files.write(contents)
            if page is not None:
                paths += page.write({page.names[0]: html})
        for warning in plan.warnings:
            printing.err.print(f"warning: {warning}", style="yellow", highlight=False, soft_wrap=True)
        if as_json:
            typer.echo(json.dumps(record, indent=2, ensure_ascii=False))
        elif not quiet:
            printing.print_plan(printing.out, plan, record, paths)

    return select


def settings_of(classes: Mapping[str, Any]) -> type[Options]:
    """The options of several strategies as one class of settings, none of them set.

    An option that not all of them have says in its help whose it is.
    """
    having: dict[str, dict[str, Option]] = {}
    for name, cls in classes.items():
        for one in options_of(cls) if hasattr(cls, "__dataclass_fields__") else ():
            if one.about.help and (one.is_plain or one.name in COLUMNS):
                having.setdefault(one.name, {})[name] = one
    fields = []
    for name, of in having.items():
        first = next(iter(of.values()))
        said = HELP.get(name, first.about.help)
        said = said.rpartition("; else ")[2] if first.about.negative else said
        if len(of) < len([cls for cls in classes.values() if options_of(cls)]):
            said = f"{', '.join(of)}: {said[:1].lower()}{said[1:]}"
        kinds = str if name in COLUMNS else reduce(or_, (kind for kind in first.kinds if kind is not NoneType))
        shown = first.about.default
        if not shown and first.default not in (None, MISSING) and bool not in first.kinds:
            shown = f"{first.default:g}" if isinstance(first.default, float) else str(first.default)
        about = first.about._replace(help=said)._asdict()
        del about["default"]
        fields.append((name, kinds | None, option(None, shown=shown, **about)))
    return make_dataclass("Rules", fields, bases=(Options,), frozen=True)


def _given(rules: Any, strategy: str, classes: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, all of them the strategy's."""
    given = changed_options(rules)
    for name in given:
        of = [one for one, cls in classes.items() if name in {declared.name for declared in options_of(cls)}]
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
