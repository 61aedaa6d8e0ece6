"""The rooms of the package, beside the contracts of import-linter (`make lint`): what imports do not show."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from perturb_jax.cli.app import app

PACKAGE = Path(__file__).parents[1] / "perturb_jax"


def flags_of(command: Any) -> Iterator[str]:
    for inner in getattr(command, "commands", {}).values():
        yield from flags_of(inner)
    for parameter in command.params:
        yield from (name for name in [*parameter.opts, *parameter.secondary_opts] if name.startswith("--"))


FLAGS = {flag for flag in flags_of(typer.main.get_command(app)) if flag != "--help"}


def flags_named(path: Path) -> set[str]:
    """Flags of ours that a module's texts name, docstrings among them."""
    texts = (node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
    words = (word for text in texts if isinstance(text, str) for word in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))
    return FLAGS.intersection(words)


def test_only_the_command_line_names_flags() -> None:
    library = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "cli"]
    named = {str(path.relative_to(PACKAGE)): flags for path in library if (flags := flags_named(path))}
    assert {"--out", "--unknown", "--slurm"} < FLAGS and flags_named(PACKAGE / "cli" / "app.py")
    assert named == {}
