from importlib.resources import files

import pytest

from fiducial.errors import UnknownNameError
from fiducial.models import model_names, read_card, weights_of


def test_every_file_of_weights_has_a_card_and_the_other_way_round():
    entries = list(files("fiducial.models").iterdir())
    weights = {entry.name[:-12] for entry in entries if entry.name.endswith(".safetensors")}
    folders = {entry.name for entry in entries if entry.is_dir() and any(entry.rglob("*.safetensors"))}
    assert weights | folders == set(model_names())


@pytest.mark.parametrize("name", model_names())
def test_a_card_says_what_is_to_be_known(name):
    card = read_card(name)
    assert {"role", "licence", "parameters"} <= set(card.facts)
    for said in ("## Data", "## How it was made", "## Held-out scores", "## Limits", "fiducial train", "seed"):
        assert said in card.text, said
    if card.facts["role"] not in ("words", "text2centroid"):  # what was trained on pictures is bound by their licences
        assert "non-commercial" in card.facts["licence"]


def test_the_weights_stay_small():
    places = [weights_of(name) for name in model_names()]
    found = [[place] if place.is_file() else list(place.rglob("*.safetensors")) for place in places]
    sizes = [file.stat().st_size for some in found for file in some]
    assert all(some for some in found)
    assert all(size < 15e6 for size in sizes)
    assert sum(sizes) < 60e6


def test_unknown_cards_come_with_a_suggestion():
    with pytest.raises(UnknownNameError, match="did you mean 'nano-segmenter'"):
        read_card("nano-segmentor")
