"""Pictures have the house style, whatever matplotlib finds in a user's files and environment."""

import subprocess
import sys
from typing import Any

import matplotlib as mpl

from perturb_jax.support.figures import canvas


def test_a_users_settings_change_nothing() -> None:
    pictures = []
    users: tuple[Any, ...] = ({}, {"text.usetex": True, "font.family": "serif", "font.size": 30})
    for settings in users:
        with mpl.rc_context(settings):
            with canvas("A title", (2.0, 2.0)) as (figure, output):
                figure.subplots().plot([1, 2], label="x_1")
            assert mpl.rcParams["font.size"] == settings.get("font.size", mpl.rcParams["font.size"])
        pictures.append(output.getvalue())
    assert pictures[0] == pictures[1]


def test_a_path_that_is_no_utf_8_may_stand_in_a_title() -> None:
    with canvas("sc\udce9.csv", (2.0, 2.0)) as (_, output):
        pass
    assert output.getvalue().startswith(b"\x89PNG")


def test_nothing_of_matplotlib_is_read_before_a_picture_is_drawn() -> None:
    code = "import sys, perturb_jax.plan.plan, perturb_jax.cli.app; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
