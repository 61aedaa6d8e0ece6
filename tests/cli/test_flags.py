"""Classes of settings as flags: types, bounds, words, tables, and errors in the command line's own words."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from perturb_jax.cli.flags import Block, in_flags, with_flags
from perturb_jax.support.errors import InputError
from perturb_jax.support.options import Options, option


@dataclass(frozen=True)
class Sample(Options):
    layers: int = option(1, "Layers of the model.", at_least=1)
    fraction: float | None = option(None, "What counts.", at_least=0, below=1, shown="a tenth")
    direction: Literal["in", "out"] = option("in", "Whose edges count.")
    weighted: bool = option(True, "Every edge weighs 1.", negative="unweighted")
    normalize: bool = option(False, "The values are counts.")
    kinds: tuple[str, ...] | None = option(None, "Which count.")
    where: Mapping[str, str] | None = option(None, "Read only what has COLUMN=VALUE.", key="COLUMN")
    file: Path | None = option(None, "The edges.")
    matrix: Any = option(None, "For Python alone, since no text can say it.")
    hidden: int = 3


def call(*arguments: str) -> tuple[Sample, str]:
    """What the command is called with; the message where it is refused."""
    found: list[Sample] = []

    @with_flags
    def command(
        name: Annotated[str, typer.Option()] = "x",
        *,
        sample: Annotated[Sample, Block("A panel", {"file": "--graph"}, {"layers": "one"})],
    ) -> None:
        """A command."""
        if name == "refuse":
            raise InputError("direction: unknown; normalize=True helps")
        found.append(sample)

    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    if found or result.exit_code == 0:
        return (found or [Sample()])[0], result.output
    return Sample(), str(result.exception) if isinstance(result.exception, InputError) else result.output


def test_flags_make_the_settings(tmp_path: Path) -> None:
    assert call()[0] == Sample()
    edges = tmp_path / "edges.csv"
    edges.touch()
    given = ["--layers", "2", "--fraction", "0.5", "--direction", "out", "--unweighted", "--normalize"]
    given += ["--kinds", "a, b", "--where", "dataset=norman=19", "--where", "batch=1", "--graph", str(edges)]
    where = {"dataset": "norman=19", "batch": "1"}
    assert call(*given)[0] == Sample(2, 0.5, "out", False, True, ("a", "b"), where, edges)


def test_help_says_what_the_class_says() -> None:
    _, shown = call("--help")
    shown = " ".join(shown.replace("│", " ").split())
    assert "A panel" in shown
    assert "<int range> [x>=1] Layers of the model. [default: (one)]" in shown
    assert "<float range> [0<=x<1] What counts. [default: (a tenth)]" in shown
    assert "Whose edges count. [default: in]" in shown
    for flag in ("--unweighted", "--normalize", "--graph"):
        assert flag in shown
    for absent in ("--weighted", "--no-", "--matrix", "--hidden", "--file"):
        assert absent not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layers", "0", "--direction", "up"], "--layers: expected a whole number of at least 1, got 0; --direction"),
        (["--where", "x"], "--where: expected COLUMN=VALUE, got 'x'"),
        (["--where", "x=1", "--where", "x=2"], "--where: x is given twice"),
        (["--graph", "absent.csv"], "absent.csv: no such file"),
        (["--name", "refuse"], "--direction: unknown; --normalize helps"),
        (["--layers", "many"], "Invalid value for '--layers'"),
    ],
)
def test_what_cannot_be_used_is_said_in_the_words_of_the_command_line(arguments: list[str], message: str) -> None:
    assert message in call(*arguments)[1]


def test_only_arguments_of_the_command_become_flags() -> None:
    names = {"cell_type": "--cell-type", "too_few": "--too-few", "unknown": "--unknown"}
    assert in_flags("cell_type, too_few: no cells", names) == "--cell-type, --too-few: no cells"
    assert in_flags("cell_type, other: no cells", names) == "cell_type, other: no cells"
    assert in_flags("genes.txt: no such file; unknown='drop' helps", names).endswith("--unknown drop helps")
    where = {"where": "--where", "layer": "--layer"}
    assert in_flags("choose where={'batch': ...} or layer=...", where) == "choose --where batch=... or --layer"
    assert in_flags("other='drop' helps", names) == "other='drop' helps"


def test_two_flags_with_one_name_are_a_mistake_of_ours() -> None:
    def command(layers: int, sample: Sample) -> None: ...

    with pytest.raises(TypeError, match="two flags have one name"):
        with_flags(command)
