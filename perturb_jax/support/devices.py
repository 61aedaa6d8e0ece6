"""The platform that JAX computes on, as the environment names it."""

import os

from perturb_jax.support.errors import InputError

VARIABLE = "JAX_PLATFORMS"


def check_platform() -> None:
    """Refuse a platform that JAX does not have here; nothing is looked for where the environment names none.

    Raises:
        InputError: JAX_PLATFORMS names such a platform.
    """
    named = os.environ.get(VARIABLE, "").strip()
    if not named:
        return
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # AssertionError: not the first attempt in this process
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{VARIABLE}={named}: JAX cannot compute on this platform here{f' ({reason})' if reason else ''}; "
            f"unset the variable, or set {VARIABLE}=cpu"
        ) from None
