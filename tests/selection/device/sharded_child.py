"""The same picks on meshes of several sizes: run in a process with virtual devices, alone or as one of two.

python sharded_child.py                   all meshes of this process
python sharded_child.py PROCESS ADDRESS   one mesh over the devices of two processes
"""

import json
import sys

import jax

if __name__ == "__main__" and len(sys.argv) > 1:  # before anything touches a device
    jax.distributed.initialize(sys.argv[2], num_processes=2, process_id=int(sys.argv[1]))

import numpy as np

import perturb_jax as pj
from perturb_jax.graph.knowledge_graph import make_graph
from perturb_jax.graph.reach import reach_sets
from perturb_jax.selection.device.sharded import layout_of

NODES, BUDGET = 400, 60


def random_graph(edges: int) -> pj.KnowledgeGraph:
    senders, receivers = np.random.default_rng(0).integers(0, NODES, (2, edges))
    return make_graph(senders, receivers, np.ones(edges), [f"G{i}" for i in range(NODES)])


def main() -> None:
    answers = {}
    for edges, hops in ((800, 1), (1200, 3)):  # rows of node numbers; of bits, with several cover layers
        graph = random_graph(edges)
        host = pj.graphreach(graph, None, BUDGET, hops, selected=["G5"], method="host")
        sets = reach_sets(graph, np.arange(NODES, dtype=np.int32)[:, None], hops)
        sizes = (1, 2, 4, 8) if len(sys.argv) == 1 else (8,)
        same = {}
        for size in sizes:
            mesh = jax.make_mesh((size,), ("candidates",), devices=jax.devices()[:size])
            picks = pj.graphreach(graph, None, BUDGET, hops, selected=["G5"], mesh=mesh)
            fields = ("indices", "gains", "values", "layers", "bounds")
            same[size] = all(np.array_equal(getattr(picks, field), getattr(host, field)) for field in fields)
        answers[f"{hops} hops"] = {
            "same": same, "bits": layout_of(sets, 8).bits, "layers": int(host.layers[-1]),
            "devices": len(jax.devices()), "here": len(jax.local_devices()),
        }  # fmt: skip
    sys.stdout.write(json.dumps(answers) + "\n")


if __name__ == "__main__":
    main()
