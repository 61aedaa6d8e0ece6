"""Hook of mkdocs: the page of the commands, made from the commands themselves, so that it says what `--help` says."""

from collections.abc import Iterator
from typing import Any

import typer
from mkdocs.structure.files import File, Files

from perturb_jax.cli.app import app

PAGE = "commands.md"
_START = """# Commands

What `perturb-jax COMMAND --help` prints, made from the same source. `perturb-jax --version` prints versions and the
dates of the annotation. Bad input ends with one line on standard error and exit code 2.
"""
_PANELS = ("Arguments", "Options")  # where typer puts what has no panel


def on_files(files: Files, config: Any) -> Files:
    """Called by mkdocs with the files of docs/: add the page."""
    files.append(File.generated(config, PAGE, content=page()))
    return files


def page() -> str:
    """Every command with its options, in Markdown."""
    commands = _commands(typer.main.get_command(app), "perturb-jax")
    return "\n".join([_START, *(line for name, command in commands for line in _section(name, command))])


def _commands(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def _section(name: str, command: Any) -> Iterator[str]:
    context = command.make_context(name, [], resilient_parsing=True)
    yield f"## {name.removeprefix('perturb-jax ')}\n\n`{' '.join([name, *command.collect_usage_pieces(context)])}`\n"
    yield f"{command.help}\n"
    panels: dict[str, list[str]] = {}
    for parameter in command.params:
        panel = parameter.rich_help_panel or _PANELS[parameter.param_type_name == "option"]
        what, text = parameter.get_help_record(context)
        panels.setdefault(panel, []).append(f"- `{what}`: {text}".replace(" [", " \\["))
    for panel, lines in panels.items():
        yield f"**{panel}**\n\n" + "\n".join(lines) + "\n"
    if command.epilog:
        what, _, example = command.epilog.partition(": ")
        yield f"{what}: `{example}`\n"
