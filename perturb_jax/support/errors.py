"""The one exception that bad input raises."""


class InputError(ValueError):
    """Input that cannot be used: the message says what was expected, what came and what to do.

    The message names arguments as Python writes them: unknown='drop', normalize=True, layer=..., where={'batch': ...}.
    The command line says its flags in their place, prints one line and ends with exit code 2.
    """


class TooFewPerturbationsError(InputError):
    """Fewer perturbations to train on than a predictor needs."""
