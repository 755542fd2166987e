"""Answers on drawn scenes: the right things are chosen, and the words agree with the masks."""

from __future__ import annotations

from functools import cache

import pytest

from detector_fakes import KnowingDetector
from fiducial.language.phrases.places import named_place, place_agrees
from fiducial.prompters.detector import Detection, DetectorPrompter
from fiducial.synthetic.scenes import SceneDataset
from fiducial.synthetic.vocabulary import spoken

COUNTS = {"shapes": 16, "aerial": 6, "phantom": 8}


@cache
def asked(style):
    """Each instruction with its answer, the masks that were chosen, and those that are true."""
    dataset = SceneDataset(style, COUNTS[style], seed=11)
    told = []
    for index in range(len(dataset)):
        sample, scene = dataset[index], dataset.scene(index)
        names = sorted({spoken(name) for name in (*scene.vocabulary, *scene.labels)})
        masks = {mask.box: mask for mask in scene.masks}
        found = [
            Detection(mask.box, 0.9 - k / 100, spoken(label))
            for k, (mask, label) in enumerate(zip(scene.masks, scene.labels, strict=True))
        ]
        prompter = DetectorPrompter(KnowingDetector({scene.image.digest: found}, names))
        answer = prompter.ask([scene.image], [sample.instruction])[0]
        told.append((sample, answer, [masks[prompt.box] for prompt in answer.prompts]))
    return told


@pytest.mark.parametrize("style", COUNTS)
def test_exactly_the_things_meant_are_chosen(style):
    for sample, _, masks in asked(style):
        assert sorted(mask.box for mask in masks) == sorted(mask.box for mask in sample.instances), sample.instruction


@pytest.mark.parametrize("style", COUNTS)
def test_the_words_agree_with_the_masks(style):
    checked = mirrored = 0
    for sample, answer, masks in asked(style):
        words = named_place(answer.text)
        for x, y in (mask.centroid for mask in masks if words):
            assert place_agrees(words, x, y, answer.prompts.frame), (sample.id, words)
            frame = answer.prompts.frame
            mirrored += place_agrees(words, frame.width - x, frame.height - y, frame)
            checked += 1
    # the same words are false of most things when the picture is turned round
    assert checked >= COUNTS[style] / 2
    assert mirrored < checked / 2
