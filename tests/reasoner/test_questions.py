import itertools

import numpy as np
import pytest

from fiducial.config import fields_of
from fiducial.errors import InputError, UnknownNameError
from fiducial.geometry import Mask
from fiducial.language.statements import Convention, Place, point_of, read_statements, stated_place
from fiducial.reasoner.positions import Position
from fiducial.reasoner.questions import PHRASINGS, _phrases, ask, position_label, random_for, with_article
from fiducial.reasoner.subjects import find_modality, find_subject, modalities, subject_for

SUBJECTS = [(one.name, target.name) for one in modalities() for target in one.targets]
CORNERS = {
    "top left": Mask.from_box((5, 5, 20, 20), height=100, width=100),
    "bottom right": Mask.from_box((80, 80, 95, 95), height=100, width=100),
}
LUNGS = Mask.from_box((10, 20, 40, 70), height=100, width=100).union(
    Mask.from_box((60, 10, 90, 45), height=100, width=100)
)


def many(masks, subject, count=20, **options):
    return [ask(masks, subject, random_for(0, str(n)), **options) for n in range(count)]


@pytest.mark.parametrize(("modality", "target"), SUBJECTS)
@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_every_sentence_is_whole(modality, target, phrasing):
    subject = find_subject(target, modality)
    shown = [(), [CORNERS["top left"]], [*CORNERS.values()], [LUNGS]]
    for question in itertools.chain.from_iterable(many(masks, subject, 8, phrasing=phrasing) for masks in shown):
        for text in (question.question, question.answer, question.description):
            assert not {"{", "}"} & set(text)
            assert "  " not in text
            assert " ," not in text
            assert text[0].isupper() or not text[0].isalpha()
            assert text[-1] in ".?"
            assert "the the" not in text.lower()


@pytest.mark.parametrize("phrasing", PHRASINGS)
@pytest.mark.parametrize("place", CORNERS)
def test_answers_name_the_side_where_the_target_is(phrasing, place):
    vertical, horizontal = place.split()
    other = {"left": "right", "right": "left"}[horizontal]
    for found in many([CORNERS[place]], find_subject("polyp"), phrasing=phrasing):
        assert horizontal in found.answer
        assert other not in found.answer
        assert any(word in found.answer for word in {"top": ("top", "upper"), "bottom": ("bottom", "lower")}[vertical])
        assert (found.position, found.positions) == (place, (Position(place),))
        assert horizontal in found.description


def test_the_published_form():
    near = Mask.from_box((55, 40, 61, 46), height=100, width=100)
    found = ask([near], find_subject("polyp"), np.random.default_rng(0), phrasing="published")
    assert found.answer == "The polyp is marked in position top right and near the center."
    assert found.position == "top right"
    lungs = ask([LUNGS], find_subject("lung", "chest X-ray"), np.random.default_rng(0), phrasing="published")
    assert lungs.answer == "The lungs are marked in position top left and top right."
    assert lungs.position == "top left. top right"


@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_nothing_there_is_said_without_a_place(phrasing):
    for masks in ((), [Mask.empty(4, 4)]):
        for found in many(masks, find_subject("breast tumor"), phrasing=phrasing):
            said = found.answer.lower()
            assert any(word in said.split() for word in ("no", "not", "nothing", "free"))
            assert not any(word in said.split() for word in ("left", "right", "upper", "lower", "centre", "center"))
            assert (found.position, found.positions, found.centroid) == ("", (), None)


def test_several_targets_are_counted_and_placed():
    for found in many([*CORNERS.values(), Mask.empty(100, 100)], find_subject("polyp")):
        assert "two" in found.answer.lower()
        assert found.answer.count("one ") == 2
        assert "left" in found.answer
        assert "right" in found.answer
    crowd = [Mask.from_box((k, 0, k + 1, 1), height=100, width=100) for k in range(0, 30, 2)]
    assert "fifteen in the" in ask(crowd, find_subject("tumour"), np.random.default_rng(2)).answer


def test_pieces_of_a_mask_are_one_target_or_several():
    both = CORNERS["top left"].union(CORNERS["bottom right"], Mask.from_box((50, 0, 51, 1), height=100, width=100))
    for found in many([both], find_subject("polyp")):
        assert found.positions == (Position("center", near=True),)
    for found in many([both], find_subject("polyp"), apart=True):
        assert {one.place for one in found.positions} == {"top left", "bottom right"}  # a speck is no third
        assert "two" in found.answer.lower()


def test_as_many_small_pieces_as_there_are_targets_are_none_of_them_specks():
    crowd = [Mask.from_box((4 * k, 0, 4 * k + 2, 2), height=100, width=100) for k in range(22)]
    (found,) = many([crowd[0].union(*crowd[1:])], find_subject("polyp"), count=1, apart=True)
    assert len(found.positions) == 22


def test_pieces_of_a_pair():
    for found in many([LUNGS], find_subject("lung", "chest X-ray")):
        assert found.answer.index("left") < found.answer.index("right")
        assert "lungs" in found.answer or "lung fields" in found.answer


def test_patients_sides_only_when_asked_for():
    subject, masks = find_subject("lesion", "breast ultrasound"), [CORNERS["top left"]]
    for found in many(masks, subject):
        assert "patient" not in found.answer
    for sides, said in (("radiological", "patient's right"), ("neurological", "patient's left")):
        for found in many(masks, subject, sides=sides):
            assert said in found.answer
            assert found.positions == (Position("top left"),)  # the truth stays in the picture's sides
            assert found.centroid[0] < 0
    with pytest.raises(InputError, match="published form"):
        ask(masks, subject, np.random.default_rng(0), phrasing="published", sides="radiological")


def test_draws_depend_on_seed_and_name_alone():
    subject, masks = find_subject("polyp"), [CORNERS["top left"]]
    assert ask(masks, subject, random_for(1, "a")) == ask(masks, subject, random_for(1, "a"))
    questions = {ask(masks, subject, random_for(seed, "a")).question for seed in range(30)}
    assert len(questions) > 5
    moved = [ask([mask], subject, random_for(3, "b")) for mask in CORNERS.values()]
    assert moved[0].question == moved[1].question
    swapped = moved[0].answer.replace("left", "right")
    for above, below in (("upper", "lower"), ("top", "bottom")):
        swapped = swapped.replace(above, below)
    assert swapped == moved[1].answer


def test_held_out_wordings_and_names_are_not_those_of_training():
    phrases = _phrases()
    sets = [phrases["questions"], phrases["places"]]
    sets += [{key: phrases["answers"][key][kind] for key in PHRASINGS} for kind in ("one", "several", "pieces", "none")]
    for wordings in sets:
        kept = {text.lower() for text in _texts(wordings["held_out"])}
        assert not kept & {text.lower() for text in _texts(wordings["training"])}
    for modality in modalities():
        assert not set(modality.unseen) & {modality.name, *modality.pictures}
        for target in modality.targets:
            assert target.unseen
            assert not set(target.unseen) & {target.name, *target.names}


def _texts(node):
    if isinstance(node, str):
        return [node]
    return [text for part in (node.values() if isinstance(node, dict) else node) for text in _texts(part)]


def test_names_of_data_sets_are_known():
    names = ("lower-grade glioma", "polyp", "breast tumor", "skin lesion", "right lung", "left lung", "heart")
    modalities_of = [find_subject(name).modality.name for name in names]
    assert modalities_of == ["brain MRI", "endoscopy", "breast ultrasound", "dermoscopy", *["chest X-ray"] * 3]
    assert find_subject("lung", "lung CT").target.pieces
    with pytest.raises(InputError, match=r"several kinds of pictures \(lung CT, chest X-ray\): say the modality"):
        find_subject("lung")
    with pytest.raises(UnknownNameError, match="did you mean 'polyp'"):
        find_subject("polip")
    with pytest.raises(UnknownNameError, match="modality"):
        find_modality("X-ray of the chest")


def test_any_other_thing_has_questions_too():
    subject = subject_for("kidney stone", "CT slice")
    assert ask([], subject, np.random.default_rng(0), phrasing="published").answer == (
        "There is no kidney stone in this CT slice medical image."
    )
    for name in ("", "a {thing}", "two\nlines"):
        with pytest.raises(InputError, match="plain words"):
            subject_for(name)


def test_articles_and_labels():
    assert with_article("X-ray") == "an X-ray"
    assert with_article("chest X-ray") == "a chest X-ray"
    assert position_label([]) == ""
    assert position_label([Position("center", near=True)]) == "center"


def test_every_field_of_the_data_is_described():
    for kind in (type(modalities()[0]), type(modalities()[0].targets[0])):
        assert all(field.metadata["help"] for field, _ in fields_of(kind))


@pytest.mark.parametrize("phrasing", PHRASINGS)
@pytest.mark.parametrize("sides", ["image", "radiological", "neurological"])
def test_answers_state_the_place_that_the_rule_found(phrasing, sides):
    if phrasing == "published" and sides != "image":
        pytest.skip("the published form knows the picture's sides only")
    convention = None if sides == "image" else Convention(sides)
    places = [(5, 5, 20, 20), (80, 5, 95, 20), (5, 80, 20, 95), (52, 52, 60, 60), (40, 40, 48, 48), (45, 45, 55, 55)]
    names = ["polyp", "heart", *(["right lung"] if sides == "image" else [])]  # a patient's right lung lies right
    for subject in map(find_subject, names):
        for box in places:
            mask = Mask.from_box(box, height=100, width=100)
            for found in many([mask], subject, 12, phrasing=phrasing, sides=sides):
                for text in (found.answer, found.description):
                    assert stated_place(text, convention) == found.positions[0].point, text


@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_answers_about_several_state_each_place(phrasing):
    for masks, target in (([*CORNERS.values()], "polyp"), ([LUNGS], "lungs")):
        for found in many(masks, find_subject(target, "chest X-ray" if target == "lungs" else ""), phrasing=phrasing):
            places = [one for one in read_statements(found.answer) if isinstance(one, Place)]
            groups = {one.group: [each for each in places if each.group == one.group] for one in places}
            assert set(map(point_of, groups.values())) == {position.point for position in found.positions}, found.answer
    for found in many([], find_subject("heart"), phrasing=phrasing):
        assert stated_place(found.answer) is None


def test_names_have_their_own_plurals():
    masks = [CORNERS["top left"], CORNERS["bottom right"]]
    said = " ".join(found.answer for found in many(masks, find_subject("skin lesion"), phrasing="held_out"))
    assert "two naevi" in said
    assert "naevuss" not in said
    said = " ".join(found.answer for found in many(masks, subject_for("mass of fat")))
    assert "two masses of fat" in said
