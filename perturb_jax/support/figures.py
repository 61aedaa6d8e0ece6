"""The house style of pictures: colours, and a canvas that becomes a PNG."""

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SELECTION, RANDOM, DEGREE, BOUND = "#0072B2", "#7F7F7F", "#D55E00", "#000000"  # Okabe and Ito: safe for colour-blind
_STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "savefig.dpi": 160,
}


@contextmanager
def canvas(title: str, size: tuple[float, float]) -> Iterator[tuple[Any, io.BytesIO]]:
    """A matplotlib Figure in the house style, whatever the user's is; a PNG in the buffer when the block ends."""
    import matplotlib as mpl  # which reads the user's environment
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    output = io.BytesIO()
    title = title.encode(errors="replace").decode()  # a path in it may have bytes that are no letters
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        figure = Figure(size, layout="constrained")
        FigureCanvasAgg(figure)
        lines = textwrap.fill(title, round(11 * size[0]), break_on_hyphens=False)
        figure.suptitle(lines, x=0.01, ha="left", fontsize=12, parse_math=False)
        yield figure, output
        figure.savefig(output, format="png", metadata={"Software": None})
