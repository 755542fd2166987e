"""The functions that recipes name: a detector behind the prompter of nouns and spatial phrases."""

import sys
from types import SimpleNamespace

import pytest

from fiducial.errors import InputError
from fiducial.prompters.open_vocabulary.grounding_dino import grounding_dino_prompter
from fiducial.prompters.open_vocabulary.owlv2 import owlv2_prompter


@pytest.fixture
def handed(monkeypatch):
    """What the prompter's class is called with."""

    def prompter(detector, *, hint=None):
        return SimpleNamespace(detector=detector, hint=hint)

    monkeypatch.setitem(sys.modules, "fiducial.prompters.detector.prompter", SimpleNamespace(DetectorPrompter=prompter))


@pytest.mark.usefixtures("handed")
def test_grounding_dino_gets_its_options_and_the_prompter_the_rest(dino_folder):
    made = grounding_dino_prompter(
        dino_folder, device="cpu", box_threshold=0.4, text_threshold=0.3, suppress=None, batch_size=3, hint="x"
    )
    detector = made.detector
    assert (detector.box_threshold, detector.text_threshold, detector.suppress) == (0.4, 0.3, None)
    assert (detector.batch_size, made.hint) == (3, "x")
    usual = grounding_dino_prompter(dino_folder, device="cpu").detector
    assert (usual.box_threshold, usual.text_threshold, usual.suppress, usual.batch_size) == (0.25, 0.25, 0.7, 1)


@pytest.mark.usefixtures("handed")
def test_owlv2_gets_its_options_and_the_prompter_the_rest(owl_folder):
    made = owlv2_prompter(
        owl_folder, device="cpu", threshold=0.3, suppress=0.4, template="{}", batch_size=2, dtype="bfloat16", hint="x"
    )
    detector = made.detector
    assert (detector.threshold, detector.suppress, detector.template, detector.batch_size) == (0.3, 0.4, "{}", 2)
    assert made.hint == "x"
    usual = owlv2_prompter(owl_folder, device="cpu").detector
    assert (usual.threshold, usual.suppress, usual.template) == (0.1, 0.5, "a photo of a {}")


@pytest.mark.usefixtures("handed")
@pytest.mark.parametrize("make", [grounding_dino_prompter, owlv2_prompter])
def test_options_that_nobody_knows(make, dino_folder, owl_folder):
    folder = dino_folder if make is grounding_dino_prompter else owl_folder
    with pytest.raises(TypeError, match="unexpected keyword argument 'beam'"):
        make(folder, device="cpu", beam=3)
    with pytest.raises(InputError, match="suppress lies in"):
        make(folder, device="cpu", suppress=3)
