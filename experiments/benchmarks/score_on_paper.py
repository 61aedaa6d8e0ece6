"""What greedy over a mesh would take on 8 GPUs and on a TPU slice: arithmetic, nothing was run there.

    python experiments/benchmarks/score_on_paper.py

Reads the bytes per pick of results/score.csv, writes results/score_on_paper.md.
"""

from typing import NamedTuple

import pandas as pd
from harness import RESULTS, show_seconds

NODES = {"genome, k=2": 20_728, "1M nodes, k=1": 1_000_000}


class Machine(NamedTuple):
    """Devices; bytes/s of each one's memory and of its link, one way; assumed seconds of a small all-reduce."""

    name: str
    devices: int
    memory: float
    link: float
    latency: float


MACHINES = (
    Machine("8 H100 SXM, NVLink", 8, 3.35e12, 450e9, 10e-6),
    Machine("TPU v5e-16, ICI", 16, 0.819e12, 50e9, 5e-6),
)
ABOUT = """# Greedy over a mesh, on paper

Written by `python experiments/benchmarks/score_on_paper.py`. **An estimate: nothing was run on a GPU or a TPU.**

A pick reads every candidate's row once, split among the devices, and makes two all-reduces: the best gain (4 bytes),
then the winner's row (4 bytes a word, and its number). Per pick:

    4 x words x candidates / devices / memory bandwidth  +  2 x latency  +  2 x bytes per pick / link bandwidth

{table}

Bandwidths: H100 SXM 3.35 TB/s of memory, NVLink 900 GB/s both ways, so 450 one way (NVIDIA's H100 data sheet); TPU v5e
819 GB/s of memory, 400 GB/s of interconnect per chip both ways over 4 ports, so 50 GB/s one way for a port
(https://docs.cloud.google.com/tpu/docs/v5e). The latencies, {latencies} microseconds for a small all-reduce, are
assumed. Bytes per pick do not depend on the number of devices: they are counted from the program's arrays
([score.md](score.md)).

What bounds a pick is the largest of the three parts, here: {bounds}. "One device alone" reads all rows by itself and
sends nothing; where that is no slower, a mesh only helps when the rows do not fit into one device. Not counted:
launching the loop's kernels, and that rows of node numbers look each entry up in a table of 4 bytes a node, which costs
more than reading the row wherever the table leaves the cache (4 MB for a million nodes). All of this makes the numbers
lower limits.
"""


def main() -> None:
    measured = pd.read_csv(RESULTS / "score.csv").query("measure == 'communication per pick'")
    sent = measured.groupby("case")["value"].unique()
    rows, bounds = [], []
    for case, nodes in NODES.items():
        (pick,) = sent[case]
        words = (pick - 8) / 4
        for machine in MACHINES:
            read = 4 * words * nodes / machine.devices / machine.memory
            wait, send = 2 * machine.latency, 2 * pick / machine.link
            parts = {"memory": read, "latency": wait, "links": send}
            bounds.append(max(parts, key=lambda part: parts[part]))
            rows.append(
                {
                    "case": case, "machine": machine.name, "bytes per pick": f"{pick:,.0f}",
                    "rows per device": f"{4e-6 * words * nodes / machine.devices:,.1f} MB",
                    **{part: show_seconds(seconds) for part, seconds in parts.items()},
                    "a pick": show_seconds(sum(parts.values())),
                    "one device alone": show_seconds(read * machine.devices),
                    "1,000 picks": show_seconds(1000 * sum(parts.values())),
                }
            )  # fmt: skip
    lines = [" | ".join(rows[0]), " | ".join("---" for _ in rows[0]), *(" | ".join(row.values()) for row in rows)]
    latencies = " and ".join(f"{1e6 * machine.latency:.0f}" for machine in MACHINES)
    table = "\n".join(f"| {line} |" for line in lines)
    (RESULTS / "score_on_paper.md").write_text(
        ABOUT.format(table=table, latencies=latencies, bounds=" or ".join(sorted(set(bounds)))), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
