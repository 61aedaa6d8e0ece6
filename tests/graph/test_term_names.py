"""The embedded names of GO terms."""

import hashlib
import lzma

import perturb_jax as pj
from perturb_jax.graph.annotation import EMBEDDED_NAMES, term_names

SHA256 = "be42691c5e0ac37e9186e999e193d1ea8e3826b90fa4142d802fd15d6d10b0dd"
"""Of the text; `scripts/embed_go_names.py` prints it."""


def test_the_table_is_the_one_that_the_script_made() -> None:
    assert hashlib.sha256(lzma.decompress(EMBEDDED_NAMES.read_bytes())).hexdigest() == SHA256
    assert len(term_names()) == 43_558


def test_names_are_those_of_the_ontology_and_obsolete_terms_have_none() -> None:
    assert term_names()["GO:0003700"] == "DNA-binding transcription factor activity"
    assert term_names()["GO:0005634"] == "nucleus"
    assert term_names()["GO:0006915"] == "apoptotic process"
    assert "GO:0000005" not in term_names()


def test_every_term_of_the_embedded_annotation_has_a_name() -> None:
    assert set(pj.human_annotation().terms) <= set(term_names())
