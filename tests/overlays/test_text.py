from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.overlays import text as module
from fiducial.overlays.text import line_height, plain, shorten, stamp, text_coverage, text_width, wrap

needs_opencv_letters = pytest.mark.skipif(not hasattr(cv2, "FontFace"), reason="OpenCV 5 brings other letters")


@pytest.mark.parametrize("size", [6, 12, 40])
def test_coverage_has_the_size_it_says_and_holds_all_ink(size):
    for bold in (False, True):
        drawn = text_coverage("Ship gjpq|", size, bold=bold)
        assert drawn.shape == (line_height(size), text_width("Ship gjpq|", size, bold=bold))
        assert drawn.max() > 150
        assert not drawn[0].any(), "nothing is cut off at the top"
    assert not text_coverage("Ship gjpq|", size)[-1].any(), "nor at the bottom"


def test_bold_is_heavier():
    assert text_coverage("ship", 20, bold=True).sum() > 1.2 * text_coverage("ship", 20).sum()


def test_nothing_gives_no_ink():
    assert not text_coverage("", 20).any()
    assert text_width("", 20) == 0


@needs_opencv_letters
def test_other_scripts_are_drawn_as_themselves():
    drawn = [text_coverage(letter, 30) for letter in ("é", "Ж", "Ω", "日", "本", "한", "ש")]
    assert all(piece.any() for piece in drawn)
    assert len({piece.tobytes() for piece in drawn}) == len(drawn), "no two are the same box"


def test_without_opencv_5_letters_lose_their_accents(monkeypatch):
    monkeypatch.setattr(module, "_opencv_face", lambda: None)
    plain.cache_clear()
    assert plain("grün, 日本") == "grun, ??"
    assert text_coverage("grün, 日本", 20).any()
    plain.cache_clear()


def test_plain_is_one_line_with_ascii_quotes():
    assert plain("a\nb\tc\u00a0d “e” — f") == 'a b c d "e" - f'
    assert plain("broken \ud83d half") == "broken  half"


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=120), st.integers(60, 300))
def test_wrapped_lines_fit_and_lose_no_letter(text, width):
    lines = wrap(text, 14, width)
    assert all(text_width(line, 14) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_long_words_are_broken():
    lines = wrap("w" * 100, 14, 200)
    assert len(lines) > 3
    assert "".join(lines) == "w" * 100


def test_most_lines_end_with_dots():
    lines = wrap("word " * 100, 14, 200, max_lines=3)
    assert len(lines) == 3
    assert lines[-1].endswith("...")
    assert text_width(lines[-1], 14) <= 200


def test_shorten():
    assert shorten("short", 14, 200) == "short"
    cut = shorten("a rather long label for one target", 14, 100)
    assert cut.startswith("a rather")
    assert cut.endswith("...")
    assert text_width(cut, 14) <= 100


def test_stamp_blends_and_clips():
    pixels = np.full((4, 4, 3), 100, np.uint8)
    stamp(pixels, np.full((2, 2), 255, np.uint8), -1, -1, (10, 20, 30))
    stamp(pixels, np.full((2, 2), 128, np.uint8), 3, 3, (200, 200, 200))
    stamp(pixels, np.full((2, 2), 255, np.uint8), 9, 9, (0, 0, 0))
    assert pixels[0, 0].tolist() == [10, 20, 30]
    assert pixels[3, 3].tolist() == [150, 150, 150]
    assert (pixels == 100).all(axis=2).sum() == 14
