"""The one exception that bad input raises."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """Input that cannot be used: the message says what was expected, what came and what to do.

    The message names arguments as Python writes them: unknown='drop', normalize=True, layer=..., where={'batch': ...}.
    The command line says its flags in their place, prints one line and ends with exit code 2.
    """


class OutputError(InputError):
    """Something that the system does not let be written: no room, no permission, a name that is too long."""


class TooFewPerturbationsError(InputError):
    """Fewer perturbations to train on than a predictor needs."""


@contextmanager
def prefixed(where: str) -> Iterator[None]:
    """Let the messages of what is refused begin with where it is."""
    try:
        yield
    except InputError as error:
        raise type(error)(f"{where}{error}") from None
