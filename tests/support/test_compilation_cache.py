"""Compiled programs are kept on disk and used again, and a place that cannot be written does no harm."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from perturb_jax.support.compilation_cache import JAX_VARIABLE, VARIABLE, keep_compiled

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
import jax, jax.numpy as jnp
import perturb_jax.support.compilation_cache as module
module.WORTH_KEEPING = 0.0
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name) if name.endswith("/cache_hits") else None)
directory = module.keep_compiled()
for expected in (False, True):
    assert float(jax.jit(lambda x: jnp.sin(x) @ x)(jnp.arange(5.0))) != 0
    assert bool(hits) == expected, hits
    jax.clear_caches()  # as in a new process, the disk is all that is left
sys.stdout.write(str(directory))
"""


def test_what_is_compiled_once_is_read_from_disk_the_next_time(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in (VARIABLE, JAX_VARIABLE)}
    clean.pop("PERTURB_JAX_CACHE", None)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**clean, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    directory = Path(done.stdout)
    assert directory.parent == tmp_path / "perturb_jax" / "compiled"
    assert any(directory.iterdir())
    assert not done.stderr


@pytest.mark.parametrize("value", ["off", "/proc/nowhere"])
def test_off_and_a_place_that_cannot_be_written_keep_nothing(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(JAX_VARIABLE, raising=False)
    monkeypatch.setenv(VARIABLE, value)
    before = jax.config.values["jax_compilation_cache_dir"]
    assert keep_compiled() is None
    assert JAX_VARIABLE not in os.environ
    assert jax.config.values["jax_compilation_cache_dir"] == before
