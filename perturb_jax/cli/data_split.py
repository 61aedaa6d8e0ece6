"""The command that draws a screen's test set before anything is selected."""

from typing import Annotated

import typer

from perturb_jax.cli.blocks import Force, HowToRead, Out, Quiet, ScreenFile, size_of
from perturb_jax.cli.flags import with_flags
from perturb_jax.cli.printing import out, print_line, print_wrote
from perturb_jax.screen.reading import open_screen
from perturb_jax.support.files import OutputDirectory

FILES = ("test.txt", "candidates.txt")


@with_flags
def split(
    screen_file: ScreenFile,
    output: Out,
    reading: HowToRead,
    test: Annotated[str, typer.Option(help="Perturbations to test on: a share or a count.")] = "0.1",
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Draw the test set of a screen, before anything is selected.

    Writes test.txt, for train --test, and candidates.txt, all others, for select --candidates.
    """
    from perturb_jax.screen.split import choose_test, remaining

    files = OutputDirectory(output, FILES, force)
    size = size_of(test, "a share or a count")
    screen = open_screen(screen_file, reading, False if quiet else None)
    tested = choose_test(screen.perturbations, size, seed)
    others = remaining(screen.perturbations, tested)
    lists = {name: "\n".join(names) + "\n" for name, names in zip(FILES, (tested, others), strict=True)}
    paths = files.write({name: text.encode() for name, text in lists.items()})
    if not quiet:
        print_line(out, f"{len(tested)} perturbations to test on, {len(others)} to select from")
        print_wrote(paths)
