"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

from perturb_jax.graph.knowledge_graph import DIRECTIONS
from perturb_jax.plan.plan import DEFAULT_CYCLES
from perturb_jax.plan.robust import DROPOUT
from perturb_jax.selection.graphdesign import CRITERIA
from perturb_jax.strategies.registry import one_shot_names
from perturb_jax.support.errors import InputError

GRAPH, RULES, OUTPUT = "Knowledge graph", "Rules of the choice", "Output"
ALL_TARGETS = "graph"
"""What --targets says for every gene of the graph."""


def complete(*choices: str) -> Any:
    """A shell completion that offers some fixed words."""
    return lambda incomplete: [choice for choice in choices if choice.startswith(incomplete)]


def error_or_drop(param: typer.CallbackParam, value: str) -> str:
    """The value of an option that is one of these two words."""
    if value not in ("error", "drop"):
        raise InputError(f"{param.name}: expected 'error' or 'drop', got {value!r}")
    return value


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
        callback=error_or_drop,
    ),
]
Out = Annotated[  # as text: a path would make the current directory of an empty one
    str | None, typer.Option("--out", metavar="<path>", help="Directory for the files.", rich_help_panel=OUTPUT)
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.", rich_help_panel=OUTPUT)]
Report = Annotated[
    str | None,
    typer.Option(metavar="<path>", help="Also a page for the browser: this .html file.", rich_help_panel=OUTPUT),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="Print no report, only warnings and errors.", rich_help_panel=OUTPUT)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the record as JSON.", rich_help_panel=OUTPUT)]
Strategy = Annotated[
    str,
    typer.Option(
        help=f"One of {', '.join(one_shot_names())}.", autocompletion=complete(*one_shot_names()), rich_help_panel=RULES
    ),
]
Hops = Annotated[
    int, typer.Option(help="Graph-convolution layers of the model that will be trained.", rich_help_panel=RULES)
]
Direction = Annotated[
    str,
    typer.Option(
        help="A gene reaches what it reads ('in'), what reads it ('out'), or 'both'.",
        autocompletion=complete(*DIRECTIONS),
        rich_help_panel=RULES,
    ),
]
AlreadyTested = Annotated[
    Path | None, typer.Option(help="Genes that count as covered and never appear.", rich_help_panel=RULES)
]
MustInclude = Annotated[Path | None, typer.Option(help="Genes that rank first and use budget.", rich_help_panel=RULES)]
Exclude = Annotated[
    Path | None,
    typer.Option(help="Perturbations that never appear (without A, A+B still may).", rich_help_panel=RULES),
]
Cycles = Annotated[
    int | None,
    typer.Option(help="Rounds to divide the picks into.", show_default=str(DEFAULT_CYCLES), rich_help_panel=RULES),
]
Seed = Annotated[
    int | None,
    typer.Option(
        help="Break ties at random with this seed; for random: the draw.",
        show_default="no chance; random: 0",
        rich_help_panel=RULES,
    ),
]
Ties = Annotated[
    str | None,
    typer.Option(
        help="graphreach: equal gains go to the 'rare' (whose reach fewest share) or the 'first'.",
        show_default="rare",
        autocompletion=complete("rare", "first"),
        rich_help_panel=RULES,
    ),
]
Robust = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="graphreach: choose for the mean over this many noisy copies of the graph, each without some edges.",
        rich_help_panel=RULES,
    ),
]
Dropout = Annotated[
    float | None,
    typer.Option(
        help="--robust: probability that an edge is missing from a copy.",
        show_default=str(DROPOUT),
        rich_help_panel=RULES,
    ),
]
DropoutSeed = Annotated[
    int | None,
    typer.Option(min=0, help="--robust: seed of the noise.", show_default="0", rich_help_panel=RULES),
]
Normalization = Annotated[
    str | None,
    typer.Option(
        help="maxspec: degrees of the whole 'graph', or of the reached 'subgraph'.",
        show_default="graph",
        autocompletion=complete("graph", "subgraph"),
        rich_help_panel=RULES,
    ),
]
Sense = Annotated[
    str | None,
    typer.Option(
        help="maxspec: keep the norm small ('min') or make it large ('max').",
        show_default="min",
        autocompletion=complete("min", "max"),
        rich_help_panel=RULES,
    ),
]
Symmetric = Annotated[
    bool, typer.Option("--symmetric", help="maxspec: use every edge in both directions.", rich_help_panel=RULES)
]
Unweighted = Annotated[
    bool, typer.Option("--unweighted", help="maxspec, graphdesign: every edge weighs 1.", rich_help_panel=RULES)
]
Criterion = Annotated[
    str | None,
    typer.Option(
        help=f"graphdesign: one of {', '.join(CRITERIA)}.",
        show_default=next(iter(CRITERIA)),
        autocompletion=complete(*CRITERIA),
        rich_help_panel=RULES,
    ),
]
Noise = Annotated[
    float | None,
    typer.Option(
        help="graphdesign: variance of a measurement relative to the prior variance of an effect.",
        show_default="2",
        rich_help_panel=RULES,
    ),
]
Unnormalized = Annotated[
    bool,
    typer.Option(
        "--unnormalized",
        help="graphdesign: genes differ in prior variance, as the graph has it.",
        rich_help_panel=RULES,
    ),
]
Targets = Annotated[
    str | None,
    typer.Option(
        help="graphdesign: genes to be predicted: a file (in a table, a column 'weight' says what each is worth), or "
        "'graph' if really all of them.",
        show_default="the candidates",
        autocompletion=complete(ALL_TARGETS),
        rich_help_panel=RULES,
    ),
]
Costs = Annotated[
    Path | None,
    typer.Option(
        help="graphdesign: a table with a column 'cost' (genes that are not in it cost 1); the budget is then a sum.",
        rich_help_panel=RULES,
    ),
]
