"""The page of the API names everything public."""

import re
from pathlib import Path

import perturb_jax as pj

DOCS = Path(__file__).parents[2] / "docs"


def test_it_lists_every_public_name_once() -> None:
    listed = re.findall(r"^::: perturb_jax\.(\w+)$", (DOCS / "api.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(dir(pj))
