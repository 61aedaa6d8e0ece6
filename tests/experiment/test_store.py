"""Results on disk: whole or not at all, and damage is noticed whatever it is."""

from pathlib import Path

import pytest

from perturb_jax.experiment.file import Sources, experiment_of
from perturb_jax.experiment.planner import Preparation, chains_of, preparation_of
from perturb_jax.experiment.store import CHECKSUMS, STAGING, Store, locked, what_is_wrong
from perturb_jax.support.errors import InputError
from tests.experiment.grids import tables

EXPERIMENT = experiment_of(tables())
WORK: Preparation = preparation_of(EXPERIMENT, Sources({"sim": {}}, {}), next(iter(chains_of(EXPERIMENT))))


def written(root: Path) -> Path:
    store = Store(root)
    with store.writing(WORK) as place:
        (place / "a.txt").write_text("one")
        (place / "b.txt").write_text("two")
    return store.directory(WORK)


def test_a_result_appears_when_all_is_written(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing(WORK) as place:
        (place / "a.txt").write_text("one")
        assert not store.holds(WORK)
        assert place.stat().st_dev == tmp_path.stat().st_dev
    assert store.holds(WORK)
    assert not list((tmp_path / STAGING).iterdir())


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(ZeroDivisionError), store.writing(WORK) as place:
        (place / "a.txt").write_text("one")
        raise ZeroDivisionError
    assert not store.holds(WORK)
    assert not store.directory(WORK).exists()
    assert not list((tmp_path / STAGING).iterdir())


def test_what_another_has_finished_meanwhile_is_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing(WORK) as place:
        (place / "a.txt").write_text("late")
        first = written(tmp_path)
    assert (first / "a.txt").read_text() == "one"
    assert what_is_wrong(first) == ""


@pytest.mark.parametrize("damage", ["truncated", "missing", "more", "no checksums", "empty checksums", "binary"])
def test_damage_is_named_and_replaced(tmp_path: Path, damage: str) -> None:
    place = written(tmp_path)
    if damage == "truncated":
        (place / "b.txt").write_text("tw")
    elif damage == "missing":
        (place / "b.txt").unlink()
    elif damage == "more":
        (place / "c.txt").write_text("")
    elif damage == "no checksums":
        (place / CHECKSUMS).unlink()
    elif damage == "empty checksums":
        (place / CHECKSUMS).write_text("")
    else:
        (place / CHECKSUMS).write_bytes(b"\xff\xfe")
    store = Store(tmp_path)
    assert not store.holds(WORK)
    assert list(store.damaged) == [place]
    named = {"truncated": "b.txt has changed", "missing": "b.txt is missing", "more": "c.txt does not belong there"}
    assert named.get(damage, "") in store.damaged[place]
    written(tmp_path)
    assert what_is_wrong(place) == ""
    assert not store.holds(WORK), "known as damaged until it is said that it was written"
    store.wrote(WORK)
    assert store.holds(WORK)


def test_one_command_at_a_time(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(InputError, match="another command is running this experiment there"),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):
        pass
