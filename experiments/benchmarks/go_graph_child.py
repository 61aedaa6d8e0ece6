"""The fresh process of `go_graph.py`: builds the whole genome's graph once, prints times and peak memory as JSON."""

import json

from harness import Stopwatch, peak_megabytes


def main() -> None:
    """Import, load the annotation, build the graph."""
    watch, peaks = Stopwatch(), {}
    with watch.stage("import"):
        import perturb_jax as pj
    peaks["import"] = peak_megabytes()
    with watch.stage("annotation"):
        pj.human_annotation()
    peaks["annotation"] = peak_megabytes()
    with watch.stage("graph"):
        pj.load_go_graph()
    peaks["graph"] = peak_megabytes()
    print(json.dumps({"stages": watch.stages, "peaks": peaks}))


if __name__ == "__main__":
    main()
