"""Greedy over a mesh of devices makes the host's picks: on 1, 2, 4 and 8 virtual devices, and over two processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from perturb_jax.selection.device.sharded import Layout, layout_of
from perturb_jax.selection.graphreach import graphreach
from perturb_jax.support.errors import InputError
from tests.graphs import graph_of

ROOT = Path(__file__).parents[3]
CHILD = Path(__file__).with_name("sharded_child.py")


def start(devices: int, *arguments: str) -> "subprocess.Popen[str]":
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", "JAX_PLATFORMS": "cpu"}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, str(CHILD), *arguments],
        env={**os.environ, **flags, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def answer(process: "subprocess.Popen[str]") -> Any:
    out, _ = process.communicate(timeout=3600)
    assert process.returncode == 0
    return json.loads(out.splitlines()[-1])


def test_meshes_of_1_2_4_and_8_devices_make_the_picks_of_the_host() -> None:
    answers = answer(start(8))
    assert [case["same"] for case in answers.values()] == 2 * [{"1": True, "2": True, "4": True, "8": True}]
    assert [case["bits"] for case in answers.values()] == [False, True]
    assert answers["3 hops"]["layers"] > 1


def test_two_processes_make_the_picks_of_the_host() -> None:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        address = f"localhost:{found.getsockname()[1]}"
    processes = [start(4, str(number), address) for number in range(2)]
    try:
        for answers in map(answer, processes):
            for case in answers.values():
                assert (case["same"], case["devices"], case["here"]) == ({"8": True}, 8, 4)
    finally:
        for process in processes:
            process.kill()


def test_rows_are_what_takes_less_room() -> None:
    entries = np.ones(5, bool), np.arange(5), np.array([0, 3, 5])
    assert layout_of(sp.csr_array(entries, (2, 32 * 4)), 2) == Layout(1, 3, bits=False)
    assert layout_of(sp.csr_array(entries, (2, 32 * 2)), 2) == Layout(1, 2, bits=True)
    assert Layout(1, 3, bits=False).bytes_per_pick == 20


def test_weights_beside_a_mesh_are_refused() -> None:
    import jax

    mesh = jax.make_mesh((1,), ("candidates",))
    with pytest.raises(InputError, match="neither weights nor a method"):
        graphreach(graph_of(3, [(0, 1)]), None, 1, weights=np.ones(3), mesh=mesh)
