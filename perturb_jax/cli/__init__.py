"""The command line: it parses, calls and prints."""


def main() -> None:
    """The console script; what it needs is imported when it runs."""
    from perturb_jax.cli.app import run

    run()
