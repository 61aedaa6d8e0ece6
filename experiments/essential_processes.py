"""Genes of the processes that essential genes serve, by the embedded annotation: the graph of simulated_replogle.toml.

    python experiments/essential_processes.py

The targets of Replogle et al.'s library of essential genes are not part of this repository; nearly half of them are
among these genes, and as densely connected.
"""

from pathlib import Path

import perturb_jax as pj

PROCESSES = {
    "GO:0006412": "translation",
    "GO:0000398": "mRNA splicing, via spliceosome",
    "GO:0006260": "DNA replication",
    "GO:0000278": "mitotic cell cycle",
    "GO:0043161": "proteasome-mediated ubiquitin-dependent protein catabolic process",
    "GO:0042254": "ribosome biogenesis",
    "GO:0006364": "rRNA processing",
    "GO:0032543": "mitochondrial translation",
    "GO:0032981": "mitochondrial respiratory chain complex I assembly",
    "GO:0006366": "transcription by RNA polymerase II",
    "GO:0006281": "DNA repair",
    "GO:0006888": "endoplasmic reticulum to Golgi vesicle-mediated transport",
    "GO:0006457": "protein folding",
    "GO:0006606": "protein import into nucleus",
    "GO:0051301": "cell division",
    "GO:0005759": "mitochondrial matrix",
    "GO:0005681": "spliceosomal complex",
    "GO:0005840": "ribosome",
    "GO:0000502": "proteasome complex",
    "GO:0006351": "DNA-templated transcription",
}


def main() -> None:
    annotation = pj.human_annotation()
    genes = sorted({gene for term in PROCESSES for gene in annotation.genes_with(term)})
    lines = [f"# {len(genes):,} genes with a direct annotation (human GO, as embedded) to one of:"]
    lines += [f"# {term} {name}" for term, name in PROCESSES.items()]
    lines += ["# Written by essential_processes.py."]
    path = Path(__file__).with_suffix(".txt")
    path.write_text("\n".join([*lines, *genes]) + "\n", encoding="utf-8")
    print(f"{len(genes):,} genes to {path.name}")


if __name__ == "__main__":
    main()
