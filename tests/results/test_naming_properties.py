from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fiducial.results import file_stem, file_stems

parts = st.sampled_from(["a", "A", "b", "a__b", "a-2", "..", "a.jpg", " ", "ü"])
names = st.lists(st.lists(parts, min_size=1, max_size=4).map("/".join), max_size=12)


@given(names)
def test_stems_never_meet_and_are_safe(given_names):
    stems = file_stems(given_names)
    assert len(stems) == len(given_names)
    assert len({stem.casefold() for stem in stems}) == len(stems)
    assert all(file_stem(stem) == stem for stem in stems)


@settings(max_examples=60)
@given(st.text(max_size=30), st.integers(1, 20))
def test_any_text_gives_a_safe_stem(text, times):
    stem = file_stem(text * times)
    assert stem
    assert not set(stem) & set('/\\\0<>:"|?*\n')
    assert file_stem(stem) == stem
    assert len(stem.encode()) <= 180


def test_no_picture_takes_the_name_of_the_runs_own_card():
    assert file_stem("run") == "run_"
    assert file_stem("run.png") == "run.png"
