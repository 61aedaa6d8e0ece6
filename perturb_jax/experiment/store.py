"""Results on disk: a directory for each unit of work, written whole or not at all, checked before it is believed."""

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from perturb_jax.experiment.planner import Choice, Preparation, Work
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import json_bytes, sha256_of, whole_file, writing

EXPERIMENT = "experiment.json"
"""What was run: the file, checksums of what it names, versions."""
SCREEN, RECORD = "screen.h5ad", "data.json"
PICKS = "picks.json"
RUN, METRICS, HISTORY, VIEW = "run.json", "metrics.parquet", "history.parquet", "view.npz"
"""What is in the directories of screens, selections and runs."""
CHECKSUMS = "SHA256SUMS"
"""In each directory: a line per file, as `sha256sum` writes and checks it."""
FAILURES = "failures"
STAGING = "staging"


class Store:
    """The directory of an experiment: `planner.Known` of it; `damaged` are directories with what is wrong with them."""

    def __init__(self, root: Path):
        self.root = root
        self.damaged: dict[Path, str] = {}
        self._whole: set[Path] = set()
        self._names: dict[str, tuple[str, ...]] = {}

    def directory(self, work: Work) -> Path:
        """Where the result of some work is, or will be."""
        return self.root / work.kind / work.digest

    def holds(self, work: Work) -> bool:
        """Whether the result is there, whole; a damaged one is not, and is noted in `damaged`."""
        directory = self.directory(work)
        if directory not in self._whole and directory not in self.damaged and directory.is_dir():
            if wrong := what_is_wrong(directory):
                self.damaged[directory] = wrong
            else:
                self._whole.add(directory)
        return directory in self._whole

    def wrote(self, work: Work) -> None:
        """Check the directory again: it was written since."""
        self.damaged.pop(self.directory(work), None)
        (self.root / FAILURES / f"{work.digest}.json").unlink(missing_ok=True)

    def record(self, work: Work, name: str) -> dict[str, Any]:
        """A JSON file of a result that is there."""
        return json.loads((self.directory(work) / name).read_text(encoding="utf-8"))

    def perturbations(self, work: Preparation) -> tuple[str, ...] | None:
        """See `planner.Known.perturbations`."""
        return self._list(work, RECORD, "perturbations")

    def picks(self, work: Choice) -> tuple[str, ...] | None:
        """See `planner.Known.picks`."""
        return self._list(work, PICKS, "picks")

    def _list(self, work: Work, name: str, key: str) -> tuple[str, ...] | None:
        if work.digest not in self._names and self.holds(work):
            self._names[work.digest] = tuple(self.record(work, name)[key])
        return self._names.get(work.digest)

    @contextmanager
    def writing(self, work: Work) -> Iterator[Path]:
        """A directory to write a result into, which becomes the result when all is written; InputError where it cannot.

        It is in the same file system, so that renaming it is one step. What somebody else has finished meanwhile is
        kept, what is damaged is replaced.
        """
        directory = self.directory(work)
        aside = self.root / STAGING / f"{work.digest[:12]}-{uuid.uuid4().hex}"
        try:
            with writing(directory):
                directory.parent.mkdir(parents=True, exist_ok=True)
                aside.mkdir(parents=True)
                yield aside
                names = sorted(path.name for path in aside.iterdir())
                text = "".join(f"{sha256_of(aside / name)}  {name}\n" for name in names)
                (aside / CHECKSUMS).write_text(text, encoding="utf-8")
                if directory.exists() and what_is_wrong(directory):
                    directory.rename(aside.with_name(f"{aside.name}-damaged"))
                try:
                    aside.rename(directory)
                except OSError:
                    if not directory.is_dir():
                        raise
        finally:
            for left in (aside, aside.with_name(f"{aside.name}-damaged")):
                shutil.rmtree(left, ignore_errors=True)

    def clear_staging(self) -> None:
        """Remove what an interrupted command has left."""
        shutil.rmtree(self.root / STAGING, ignore_errors=True)


def what_is_wrong(directory: Path) -> str:
    """Why a directory is not what was written; empty where it is."""
    try:
        lines = (directory / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return f"{CHECKSUMS} cannot be read"
    expected = {name: checksum for checksum, _, name in (line.partition("  ") for line in lines)}
    found = {path.name for path in directory.iterdir()} - {CHECKSUMS}
    if not expected or found != set(expected):
        odd = sorted(found ^ set(expected)) or ["everything"]
        return f"{', '.join(odd)} {'is missing' if odd[0] not in found else 'does not belong there'}"
    changed = [name for name, checksum in expected.items() if sha256_of(directory / name) != checksum]
    return f"{', '.join(changed)} has changed since it was written" if changed else ""


def write_json(path: Path, record: Any) -> None:
    """Write a JSON file, whole or not at all."""
    with whole_file(path) as whole:
        whole.write_bytes(json_bytes(record, indent=1))


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Keep other commands from working in the same directory; the lock ends with the process, however that ends."""
    import fcntl  # not on Windows, where the rest can be imported

    with ExitStack() as held:
        with writing(root):
            root.mkdir(parents=True, exist_ok=True)
            file = held.enter_context((root / ".lock").open("w"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"{root}: another command is running this experiment there; wait for it") from None
        yield
