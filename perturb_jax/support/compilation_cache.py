"""What XLA compiles, kept on disk between runs of the command line."""

import hashlib
import os
import platform
import sys
import tempfile
import warnings
from pathlib import Path

VARIABLE = "PERTURB_JAX_COMPILATION_CACHE"
"""The environment variable that names the directory, or is "off"."""
JAX_VARIABLE = "JAX_COMPILATION_CACHE_DIR"
"""JAX's own: who has set it has decided already."""
SECONDS_VARIABLE = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
"""JAX's own, for the next."""
WORTH_KEEPING = 0.2
"""Seconds of compilation from which a program is kept."""


def keep_compiled() -> Path | None:
    """Let this process, and those that it starts, keep compiled programs on disk and use them again.

    The directory is the one that PERTURB_JAX_COMPILATION_CACHE names ("off": none), else `compiled` in
    PERTURB_JAX_CACHE or in the user's cache directory (XDG_CACHE_HOME, ~/.cache); below it one for each kind of
    processor, since a home directory may be shared by machines that do not run each other's programs. It may be
    deleted at any time. Returned is the directory, or None where nothing is kept: it is off, or cannot be written.
    """
    chosen = os.environ.get(VARIABLE, "")
    if chosen.strip().lower() in ("off", "0", "no", "false") or JAX_VARIABLE in os.environ:
        return None
    try:
        directory = (Path(chosen).expanduser() if chosen.strip() else _cache_home() / "compiled") / _processor()
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except (OSError, RuntimeError):  # RuntimeError: no home directory
        return None
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache")  # a full disk
    settings = {JAX_VARIABLE: str(directory), SECONDS_VARIABLE: WORTH_KEEPING}
    os.environ.update({name: str(value) for name, value in settings.items()})  # which JAX reads when it is imported
    if "jax" in sys.modules:
        for name, value in settings.items():
            sys.modules["jax"].config.update(name.lower(), value)
    return directory


def _cache_home() -> Path:
    if named := os.environ.get("PERTURB_JAX_CACHE"):
        return Path(named).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "perturb_jax"


def _processor() -> str:
    """A name for processors with the same instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = [platform.processor()]
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), lines[0] if lines else "")
    return f"{platform.machine()}-{hashlib.sha256(flags.encode()).hexdigest()[:12]}"
