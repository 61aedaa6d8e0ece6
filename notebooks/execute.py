"""Run notebooks from top to bottom and write what they show: `make notebooks` in place, the tests beside them."""

import argparse
import os
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

HERE = Path(__file__).parent
SECONDS_PER_CELL = 3600  # for a machine that does much else: a cell that hangs shall end, a slow one shall not
_ERRORS_ONLY = ["--IPKernelApp.log_level=40"]  # not that the kernel listens on this machine


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of a fresh kernel of this Python; an error in a cell is raised.

    Times are not recorded, what a cell prints is one text however it came, and nothing is read from the user's Jupyter
    settings, so that the same code gives the same file.
    """
    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    own = KernelSpecManager(kernel_dirs=[])  # leaves the kernel of the running Python alone
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=own)
    client = NotebookClient(
        notebook, manager, timeout=SECONDS_PER_CELL, record_timing=False, coalesce_streams=True,
        extra_arguments=_ERRORS_ONLY,
    )  # fmt: skip
    client.resources = {"metadata": {"path": str(HERE)}}
    paths = [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    client.execute(env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "JUPYTER_PLATFORM_DIRS": "1"})
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def main() -> None:
    """Execute the named notebooks, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(HERE.glob("*.ipynb")))
    parser.add_argument("--out", type=Path, help="directory for the executed copies; else in place")
    options = parser.parse_args()
    for path in options.notebooks:
        nbformat.write(executed(path), path if options.out is None else options.out / path.name)


if __name__ == "__main__":
    main()
