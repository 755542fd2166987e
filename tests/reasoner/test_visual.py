"""The visual half of the joint model without words: as the whole model draws, from a graph."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import fiducial
from fiducial import Outcome
from fiducial.images import Image
from fiducial.models import weights_of
from fiducial.prompters.grounder.vocabulary import Vocabulary
from fiducial.prompters.subjects.drawing import EMBEDDED, GRAPH, SUBJECTS, SubjectDetector, read_subjects
from fiducial.reasoner.model import WEIGHTS
from fiducial.reasoner.subjects import find_subject
from fiducial.reasoner.visual import KNOWN, ask_all, load_visual, questions_about
from fiducial.training.exporting import export
from tiny.reasoner import tiny_reasoner

PICTURE = Image(np.random.default_rng(0).integers(0, 255, (30, 50, 3), np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tiny_reasoner(tmp_path_factory.mktemp("joint") / "model")
    weights = {name: one.half() for name, one in load_file(made / WEIGHTS).items()}
    save_file(weights, made / WEIGHTS)
    export(made)
    return made


def test_what_is_known_has_a_name_and_questions():
    names = {entry.name: entry.domain for entry in Vocabulary.read().entries}
    assert {one.name: one.domain for one in KNOWN}.items() <= names.items()
    for one in KNOWN:
        assert find_subject(one.target, one.modality).target.pieces == one.apart
        questions = questions_about(one)
        assert len(questions) > 10
        assert len(set(questions)) == len(questions)


def test_what_comes_with_the_package_answers_as_is_told():
    subjects, _ = read_subjects(weights_of(EMBEDDED))
    told = [(one.name, one.domain, one.presence, one.apart, one.draws) for one in KNOWN]
    assert [(one.name, one.domain, one.presence, one.apart, one.draws) for one in subjects] == told


def test_the_graph_draws_as_the_model_does(folder):
    half, subjects, vectors = ask_all(folder)
    read, kept = read_subjects(folder)
    assert read == subjects
    np.testing.assert_array_equal(kept, vectors)
    by_graph = SubjectDetector.from_pretrained(folder, "cpu")
    pixels, prompts = np.stack([by_graph._input(PICTURE)] * 2), vectors[:2]
    found = by_graph._engine(pixels, prompts)
    with torch.no_grad():
        expected = half(torch.from_numpy(pixels), torch.from_numpy(prompts))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-3)
    again = load_visual(folder)
    assert all(torch.equal(one, other) for one, other in zip(again.parameters(), half.parameters(), strict=True))


def test_the_vector_of_a_subject_is_that_of_its_questions(folder):
    _, subjects, vectors = ask_all(folder)
    assert [one.name for one in subjects] == [one.name for one in KNOWN]
    assert np.isfinite(vectors).all()
    assert len(np.unique(vectors.round(4), axis=0)) > 1


def test_only_subjects_of_kinds_that_the_model_knows_are_asked_for(tmp_path):
    made = tiny_reasoner(tmp_path / "model", kinds=("endoscopy", "dermoscopy"))
    assert [one.name for one in ask_all(made)[1]] == ["polyp", "skin lesion"]


def test_a_graph_lies_in_the_folder_of_its_weights(folder, tmp_path):
    from fiducial.errors import InputError

    assert (folder / GRAPH).stat().st_size < (folder / WEIGHTS).stat().st_size
    assert (folder / SUBJECTS).stat().st_size < 60_000
    with pytest.raises(InputError, match="lie in its own folder"):
        export(folder, tmp_path)


def test_the_default_takes_such_a_folder(folder):
    options = {"prompter.device": "cpu", "segmenter.device": "cpu", "prompter.any_picture": True}
    without = fiducial.load("nano", options={**options, "prompter.subjects": ""})(PICTURE, "the heart")
    assert without.outcome is Outcome.FAILED
    assert "I do not know 'heart'" in without.text
    pipe = fiducial.load("nano", options={**options, "prompter.subjects": str(folder)})
    assert {one.name for one in KNOWN} <= set(pipe.prompter.detector.vocabulary())
    assert pipe(PICTURE, "the heart").outcome in (Outcome.FOUND, Outcome.NO_TARGET)
