"""Seeds of a repetition: one for each purpose, so that what is fixed can be told from what varies."""

import hashlib
from typing import Literal

Purpose = Literal["data", "split", "selection", "training"]
PURPOSES: tuple[Purpose, ...] = ("data", "split", "selection", "training")


def seed_for(purpose: Purpose, repetition: int, cycle: int = 0) -> int:
    """The seed of a purpose in a repetition: the first 32 bits of the SHA-256 of "purpose repetition cycle".

    So seeds of different purposes, repetitions and cycles are as unrelated as hashes are. `cycle` (the first is 0) is
    for selections; all trainings of a repetition share one seed, so that equal training sets give equal models.

    Args:
        purpose: "data": of simulated genes, effects and cells; "split": of the test set and of which selected
            perturbations validate; "selection"; "training".
        repetition: the seed that the experiment's file names, or 0 where the purpose is fixed.
        cycle: in which is selected.

    Examples:
        >>> seed_for("data", 0), seed_for("training", 0)
        (534518157, 1851273174)
    """
    return int.from_bytes(hashlib.sha256(f"{purpose} {repetition} {cycle}".encode()).digest()[:4], "big")
