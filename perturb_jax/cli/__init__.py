"""The command line: it parses, calls and prints."""


def main() -> None:
    """The console script; what it needs is imported when it runs."""
    try:
        from perturb_jax.cli.app import run
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    run()
