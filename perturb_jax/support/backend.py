"""Where something is computed that has two ways: compiled loops on the host, or JAX on the default device."""

from typing import Literal, get_args

import jax

from perturb_jax.support.errors import InputError

Backend = Literal["auto", "host", "jax"]


def on_host(backend: str) -> bool:
    """Whether the host's loops are meant: "auto" chooses them where JAX has nothing but a CPU.

    Raises:
        InputError: another backend.
    """
    if backend not in get_args(Backend):
        raise InputError(f"backend: expected one of {', '.join(get_args(Backend))}, got {backend!r}")
    return backend == "host" or (backend == "auto" and jax.default_backend() == "cpu")
