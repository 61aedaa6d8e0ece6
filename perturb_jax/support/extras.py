"""Packages that an installation may lack: what to install."""

import re
import shlex
from importlib.util import find_spec

from perturb_jax.support.errors import InputError

_CALLED = {"sklearn": "scikit-learn", "dask_jobqueue": "dask-jobqueue", "gears": "cell-gears"}
"""Packages by the names of their modules, where these differ."""


def require(who: str, *modules: str) -> None:
    """Refuse to go on without some modules.

    Raises:
        InputError: one is missing; the message says what to install, in the versions that are supported.
    """
    missing = [_CALLED.get(name, name) for name in modules if find_spec(name) is None]
    if missing:
        advice = " ".join(shlex.quote(_supported(name)) for name in missing)
        raise InputError(f"{who}: {', '.join(missing)} missing in this installation; pip install {advice}")


def _supported(package: str) -> str:
    """What pip is given for a package: with its versions, where they are known."""
    from importlib.metadata import PackageNotFoundError, requires  # takes as long to load as all else here

    try:
        declared = requires("perturb-jax") or ()
    except PackageNotFoundError:
        declared = ()
    wanted = (line.partition(";")[0].strip() for line in declared)
    return next((one for one in wanted if re.split(r"[^\w.-]", one)[0].lower() == package.lower()), package)
