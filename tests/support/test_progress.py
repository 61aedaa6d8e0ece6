"""The line that says how far a computation is: in a file whole lines, on a terminal one that is drawn again."""

import sys

import pytest

from perturb_jax.support.progress import progress_bar


def test_in_a_file_each_task_is_one_line_when_it_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(shown=True) as bar:
        bar.begin("reading", 4)
        bar.advance()
        bar.message("half way")
        bar.reach(4)
        bar.begin("training", 10, done=5)
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert shown.out == "" and [line.split()[0] for line in lines] == ["half", "reading", "training"]
    assert " 100% " in lines[1] and " 50% " in lines[2]


@pytest.mark.parametrize("shown", [False, None])
def test_nothing_is_shown_unless_wanted_or_on_a_terminal(
    shown: bool | None, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar(shown) as bar:
        bar.begin("reading", 4)
        bar.message("half way")
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_the_line_is_drawn_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with pytest.raises(KeyboardInterrupt), progress_bar() as bar:
        bar.begin("reading", 4)
        raise KeyboardInterrupt
    shown = capsys.readouterr().err
    assert shown.count("\rreading") + shown.count("\x1b[2Kreading") == 2 and shown.endswith("\n")
