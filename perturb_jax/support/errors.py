"""The one exception that bad input raises."""


class InputError(ValueError):
    """Input that cannot be used: the message says what was expected, what came and what to do.

    The message names arguments as Python writes them; the command line prints it as one line, with its flags for

        unknown='drop'             --unknown drop
        normalize=True             --normalize
        layer=...                  --layer
        where={'cell_type': ...}   --where cell_type=...

    and ends with exit code 2.
    """


class TooFewPerturbationsError(InputError):
    """Fewer perturbations to train on than a predictor needs."""
