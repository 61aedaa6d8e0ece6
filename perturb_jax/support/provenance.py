"""What makes a number traceable: inputs with checksums, versions. Plain values for JSON."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version

import perturb_jax
from perturb_jax.support.files import sha256_of

_PACKAGES = (
    "jax", "numba", "numpy", "pandas", "scipy", "anndata", "torch", "torch_geometric", "cell-gears", "flax", "optax",
)  # fmt: skip


def checksums(inputs: Mapping[str, Path | None]) -> dict[str, dict[str, str | None]]:
    """The files that were read, by the option that named them, with their SHA-256; None for a pipe, read only once."""
    return {
        option: {"path": str(path), "sha256": sha256_of(path) if path.is_file() else None}
        for option, path in inputs.items()
        if path is not None
    }


def versions() -> dict[str, str]:
    """Versions of this package and of what its numbers depend on, where it is installed."""
    return {
        "perturb_jax": perturb_jax.__version__,
        "python": python_version(),
        **{package: found for package in _PACKAGES if (found := _installed(package)) is not None},
    }


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
