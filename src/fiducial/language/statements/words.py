"""Words of answers: a text cut into words, and the lists that only answers need; the others are the grammar's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fiducial.language.phrases.lexicon import IMAGE_NOUNS, PLACE_NOUNS, SIDE_OF, sides_of
from fiducial.language.phrases.nouns import word_set

_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+(?:[.,]\d+)*%?|--+|[^\w\s]|\n")
_ENDS = word_set(". ! ? ; \n")
STOPS = word_set(", ; : = ( ) . ! ? \n -- \u2013 \u2014")
"""Marks between clauses; a hyphen is none, for it is opened."""

PICTURES = IMAGE_NOUNS | word_set(
    "images pictures photos scan slice radiograph film xray ray ultrasound sonogram mri mr ct tomogram endoscopy "
    "colonoscopy dermoscopy dermatoscopy mammogram figure field visual tile"
)
"""What a picture is called, in medicine too."""
PART_NOUNS = PLACE_NOUNS - {"most"} | word_set(
    "strip band zone zones sector sectors regions areas portions sections parts quadrants"
)
"""Nouns that, with a side, name a part of the picture."""
ANATOMY = word_set(
    "lung lungs lobe lobes hemisphere hemispheres breast breasts kidney kidneys hemithorax hilum hilar apex apical "
    "clavicle rib ribs ventricle ventricles atrium temporal frontal parietal occipital thalamus thalamic cerebellum "
    "cerebellar cerebral hemidiaphragm diaphragm eye eyes orbit ear arm leg hip knee shoulder heart chest thorax "
    "thoracic brain bronchus pulmonary pleural pleura axilla axillary nipple ovary testis adrenal thyroid carotid "
    "iliac femur femoral liver insula insular ganglia patient patient's abdomen colon body costophrenic lingula"
)
"""Nouns whose left and right are the patient's."""
LOCATING = word_set(
    "located situated positioned placed position positions location lies lie lying lay sits sit found seen visible "
    "marked appears appear resides occupies occupy occupying fills covers covering spans there centred centered "
    "observed detected identified noted localised localized confined limited restricted say said guess"
)
"""Words after which a side without "in the" is a place."""
BE = word_set("is are was were be being")
MID = word_set("mid")
BODILY = {"superior": "top", "superiorly": "top", "inferior": "bottom", "inferiorly": "bottom"}
"""Sides as reports of medical pictures name them; of the picture, whose top is the head's side or the sky's."""
CENTRED = word_set("centred centered")


@dataclass(frozen=True, slots=True)
class Word:
    """One word or mark of a text, in lower case, with its place in the text in characters."""

    text: str
    start: int
    end: int


def sentences_of(text: str) -> Iterator[list[Word]]:
    """Yield the sentences of a text as words and marks; questions, which state nothing, are left out."""
    plain = "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in text).replace("\u2019", "'")
    sentence: list[Word] = []
    for found in _TOKEN.finditer(plain):
        mark = found[0]
        if mark == "-" or mark in "'\"*_`":
            continue
        if mark in _ENDS and mark != ";":
            if sentence and mark != "?":
                yield sentence
            sentence = []
        else:
            sentence.append(Word(mark, found.start(), found.end()))
    if sentence:
        yield sentence


def sides_in(word: str) -> tuple[str, ...]:
    """Return the sides that one word names: "left", "northwest", "uppermost", "central", "mid"."""
    if word in SIDE_OF or word in BODILY:
        return (SIDE_OF.get(word) or BODILY[word],)
    if word in MID or word == "centrally":
        return ("centre",)
    return sides_of(word) if word.endswith(("most", "ern", "east", "west", "hand")) else ()


def at(words: Sequence[Word], index: int) -> str:
    """Return the word at an index, or nothing beyond either end."""
    return words[index].text if 0 <= index < len(words) else ""
