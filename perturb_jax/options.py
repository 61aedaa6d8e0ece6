"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

GRAPH, RULES, OUTPUT = "Knowledge graph", "Rules of the choice", "Output"


def complete(*choices: str) -> Any:
    """A shell completion that offers some fixed words."""
    return lambda incomplete: [choice for choice in choices if choice.startswith(incomplete)]


CandidatesFile = Annotated[
    Path | None,
    typer.Option(
        "--candidates", help="Genes to choose from: text (a name per line), .csv/.tsv, or .h5ad (its perturbations)."
    ),
]
CandidatesGo = Annotated[
    str | None,
    typer.Option("--candidates-go", help="Choose from the genes that carry this GO term directly, e.g. GO:0003700."),
]
Column = Annotated[str | None, typer.Option(help="Column of the candidates' table with the names.")]
GraphFile = Annotated[
    Path | None,
    typer.Option(
        "--graph", help="Edge list (CSV: source, target, importance) to use instead of GO.", rich_help_panel=GRAPH
    ),
]
AnnotationFile = Annotated[
    Path | None,
    typer.Option(
        help="gene2go, GAF or GMT file to use instead of the human GO that ships here.", rich_help_panel=GRAPH
    ),
]
Universe = Annotated[
    Path | None, typer.Option(help="Genes that make up the graph.", show_default="all annotated", rich_help_panel=GRAPH)
]
Neighbors = Annotated[
    int | None, typer.Option(help="Most similar genes that each gene reads.", show_default="20", rich_help_panel=GRAPH)
]
MinJaccard = Annotated[
    float | None, typer.Option(help="Similarity that an edge must exceed.", show_default="0.1", rich_help_panel=GRAPH)
]
Namespaces = Annotated[
    str | None, typer.Option(help="GO namespaces that count.", show_default="BP,MF,CC", rich_help_panel=GRAPH)
]
Evidence = Annotated[
    str | None, typer.Option(help="Evidence codes to keep, e.g. IDA,IMP (needs --annotation).", rich_help_panel=GRAPH)
]
DropEvidence = Annotated[
    str | None,
    typer.Option(help="Evidence codes to leave out, e.g. IEA,ND (needs --annotation).", rich_help_panel=GRAPH),
]
Unknown = Annotated[
    str,
    typer.Option(
        help="Genes that are not in the graph: 'error', or 'drop' and report them.",
        autocompletion=complete("error", "drop"),
    ),
]
Out = Annotated[Path | None, typer.Option("--out", help="Directory for the files.", rich_help_panel=OUTPUT)]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.", rich_help_panel=OUTPUT)]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="Print no report, only warnings and errors.", rich_help_panel=OUTPUT)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the record as JSON.", rich_help_panel=OUTPUT)]
