import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.errors import UnknownNameError
from fiducial.geometry import Frame, Prompt
from fiducial.language import Candidate, Outcome
from fiducial.language.phrases import parse_instruction, resolve
from fiducial.prompters.detector.reading import DESCRIBED, Reading, read_request
from fiducial.prompters.grounder.vocabulary import (
    MAX_INSTEAD,
    NARROWER,
    Vocabulary,
)
from fiducial.synthetic.aerial import VOCABULARY as AERIAL
from fiducial.synthetic.shapes import KINDS
from fiducial.synthetic.vocabulary import many, spoken

VOCABULARY = Vocabulary.read()
LABELS = (
    *("airplane", "ship", "storage_tank", "baseball_diamond", "tennis_court", "basketball_court"),
    *("ground_track_field", "harbor", "bridge", "vehicle"),
)


def test_the_names_are_how_people_call_the_labels():
    assert tuple(spoken(label) for label in LABELS) == AERIAL == VOCABULARY.names[:10]
    assert VOCABULARY.names[10:12] == ("tumour", "blood vessel")
    assert VOCABULARY.names[12:20] == KINDS
    assert VOCABULARY.names[20:] == (
        "polyp",
        "breast lesion",
        "skin lesion",
        "lung",
        "left lung",
        "right lung",
        "heart",
    )
    assert VOCABULARY.domains == ("aerial", "brain", "fundus", "shapes", "endoscopy", "ultrasound", "skin", "xray")


def test_every_name_is_there_once():
    assert len(set(VOCABULARY.names)) == len(VOCABULARY.names)


def test_an_unknown_name_comes_with_a_suggestion():
    with pytest.raises(UnknownNameError, match="did you mean 'airplane'"):
        VOCABULARY.entry("airplanes")


@pytest.mark.parametrize("entry", VOCABULARY.entries, ids=lambda entry: entry.name)
def test_what_is_listed_is_listed_once_and_measured_with_other_words(entry):
    listed = (*entry.listed, *entry.unlike)
    assert entry.phrases[0] == entry.name
    assert len(set(listed)) == len(listed)
    assert len(entry.phrases) >= 3
    assert len(entry.unseen) >= 3
    for phrase in entry.unseen:
        reading = VOCABULARY.look_up(phrase)
        assert reading.name is None or reading.similarity in (NARROWER, DESCRIBED), (phrase, reading)
        assert phrase not in listed


@pytest.mark.parametrize("entry", VOCABULARY.entries, ids=lambda entry: entry.name)
def test_listed_words_are_read_in_both_numbers(entry):
    for phrases, similarity in (((*entry.phrases, *entry.also), 1.0), (entry.narrower, NARROWER)):
        for phrase in phrases:
            for said in (phrase, many(phrase), phrase.upper(), phrase.replace(" ", "-"), phrase.replace(" ", "")):
                reading = VOCABULARY.look_up(said)
                assert reading.said == said
                if phrase == "court":
                    assert reading.name is None
                else:
                    assert (reading.name, reading.similarity) == (entry.name, similarity), said


@pytest.mark.parametrize("entry", VOCABULARY.entries, ids=lambda entry: entry.name)
def test_what_only_ends_like_a_phrase_is_not_read_as_it(entry):
    for phrase in entry.unlike:
        assert VOCABULARY.look_up(phrase).name != entry.name, phrase
        assert VOCABULARY.look_up(f"old {many(phrase)}").name != entry.name, phrase


@pytest.mark.parametrize(
    ("noun", "name", "similarity"),
    [
        ("Aeroplanes", "airplane", 1.0),
        ("storage-tanks", "storage tank", 1.0),
        ("storagetank", "storage tank", 1.0),
        ("harbours", "harbor", 1.0),
        ("brain tumors", "tumour", 1.0),
        ("disks", "disc", 1.0),
        ("lorries", "vehicle", NARROWER),
        ("fishing boats", "ship", NARROWER),
        ("Garbage Trucks", "vehicle", NARROWER),
        ("coast guard vessel", "ship", NARROWER),
        ("rusty police car", "vehicle", DESCRIBED),
        ("police boat", "ship", NARROWER),
        ("guard boat", "ship", DESCRIBED),
        ("red cross", "cross", DESCRIBED),
        ("vessel", "ship", 1.0),
        ("retinal vessels", "blood vessel", 1.0),
        ("speedboats", "ship", NARROWER),
        ("old drawbridge", "bridge", DESCRIBED),
        ("Cambridge", None, None),
        ("tailplane", None, None),
        ("xqboat", None, None),
        ("boat of wood", None, None),
    ],
)
def test_nouns_are_read(noun, name, similarity):
    reading = VOCABULARY.look_up(noun)
    assert reading.name == name
    assert similarity is None or reading.similarity == similarity


def test_a_word_that_means_something_else_in_other_pictures_says_what():
    reading = VOCABULARY.look_up("lesions")
    assert (reading.name, reading.instead) == ("tumour", ("polyp", "breast lesion", "skin lesion"))
    assert VOCABULARY.look_up("tumor").instead == ("breast lesion",)
    assert VOCABULARY.look_up("glioma").instead == ()
    for entry in VOCABULARY.entries:
        assert all(VOCABULARY.look_up(word).name not in (None, entry.name) for word in entry.within)


def test_sides_of_lungs_are_said_to_be_the_patients():
    assert "the patient's" in VOCABULARY.look_up("left lung").note
    assert VOCABULARY.look_up("lungs") == Reading("lungs", "lung")
    read = read_request(parse_instruction("the left lung and the heart"), Reader())
    assert [read.name(target.noun) for target in read.request.targets] == ["left lung", "heart"]
    assert len(read.notes) == 1
    assert read.names["left lung"] == "left lung"


class Reader:
    """A detector that only reads."""

    read = staticmethod(VOCABULARY.look_up)

    def vocabulary(self):
        return VOCABULARY.names


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("the gren car", "'gren' (did you mean 'green'?)"),
        ("the bule cars", "'bule' (did you mean 'blue'?)"),
        ("the yelow car", "'yelow' (did you mean 'yellow'?)"),
        ("the cars that are gren", "'gren'"),
        ("the cars that are not gren", "'gren'"),
        ("all cars except the gren ones", "'gren'"),
        ("the car near the gren ship", "'gren'"),
        ("the lagre ship", "'lagre' (did you mean 'large'?)"),
        ("the smalest car", "'smalest' (did you mean 'smallest'?)"),
        ("thre ships", "'thre'"),
        ("the blu fishing boat", "'blu'"),
        ("the burnt car", "'burnt'"),
        ("the crowded harbor", "'crowded'"),
        ("the turqoise car", "'turqoise' (did you mean 'turquoise'?)"),
    ],
)
def test_an_attribute_that_is_not_understood_is_never_dropped(said, named):
    read = read_request(parse_instruction(said), Reader())
    frame = Frame.pixels(100, 100)
    things = [("vehicle", 1), ("vehicle", 20), ("ship", 40), ("harbor", 60)]
    found = [Candidate(Prompt(frame, box=(x, x, x + 9, x + 9), label=name), colours={"red": 1}) for name, x in things]
    answer = resolve(read.request, found, frame, match=read.means)
    assert (answer.outcome, answer.chosen) == (Outcome.FAILED, ())
    assert named in answer.text


@pytest.mark.parametrize(
    "noun",
    [
        *("terminal building", "helicopter", "swimming pool", "airport", "parking lot", "roundabout", "runway"),
        *("liver", "kidney", "person", "zebra", "building", "tree", "fish tank", "diamond ring", "train track"),
    ],
)
def test_other_nouns_are_unknown(noun):
    assert VOCABULARY.look_up(noun).name is None
    assert VOCABULARY.look_up(many(noun)).name is None


def test_a_word_of_two_names_is_not_guessed():
    reading = VOCABULARY.look_up("courts")
    assert reading == Reading("courts", None, 1.0, ("tennis court", "basketball court"))
    assert VOCABULARY.only(["tennis court"]).look_up("courts").name == "tennis court"


@pytest.mark.parametrize(
    ("noun", "first"),
    [("aeroplnae", "airplane"), ("brigdes", "bridge"), ("large harbuor", "harbor"), ("vehcle", "vehicle")],
)
def test_a_slip_of_the_finger_is_suggested_and_not_taken(noun, first):
    reading = VOCABULARY.look_up(noun)
    assert reading.name is None
    assert reading.instead[0] == first


def test_real_words_are_no_slips():
    assert "bridge" not in VOCABULARY.look_up("fridge").instead
    assert "bridge" not in VOCABULARY.look_up("bride").instead


def test_the_likest_names_are_suggested_first():
    assert VOCABULARY.look_up("helicopter").instead == ("airplane",)
    assert VOCABULARY.look_up("viaducts").instead == ("bridge",)
    assert VOCABULARY.look_up("soccer fields").instead == ("baseball diamond", "tennis court", "basketball court")
    assert VOCABULARY.look_up("democracy").instead == ()


@given(st.text(max_size=40))
def test_any_text_has_a_reading(noun):
    reading = VOCABULARY.look_up(noun)
    assert reading.said == noun
    assert reading.name is None or reading.name in VOCABULARY.names
    assert 0 <= reading.similarity <= 1
    assert set(reading.instead) <= set(VOCABULARY.names)
    assert len(reading.instead) <= MAX_INSTEAD


def test_part_of_a_vocabulary_knows_only_that():
    part = VOCABULARY.only(["tumour", "ship"])
    assert part.names == ("ship", "tumour")
    assert part.look_up("planes").name is None
    with pytest.raises(UnknownNameError):
        VOCABULARY.only(["zebra"])


def test_the_description_lists_the_names_of_each_kind_of_picture_with_other_words():
    text = VOCABULARY.only(["ship", "bridge", "tumour"]).describe()
    assert text.startswith("In aerial pictures:\n\n- **ship**: boat, vessel, sea vessel, yacht")
    assert "\n\nIn brain scans:\n\n- **tumour**: tumor" in text
    assert "watercraft" not in text


def test_a_vocabulary_covers_what_weights_were_taught():
    taught = VOCABULARY.covering([("tumour", "brain"), ("ship", "aerial"), ("zebra", "plains")])
    assert taught.names == ("tumour", "ship", "zebra")
    assert taught.look_up("vessel").name == "ship"
    assert taught.look_up("zebras").name == "zebra"
    assert taught.entry("zebra").domain == "plains"
