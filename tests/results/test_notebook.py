import base64
import io
import re

import numpy as np
import PIL.Image
import pytest

from fiducial.geometry import Mask, Prompt
from fiducial.images import Image
from fiducial.language import Outcome
from fiducial.results import notebook, png


def size_of(data: bytes) -> tuple[int, int]:
    return PIL.Image.open(io.BytesIO(data)).size


def test_the_picture_of_a_notebook_is_the_overlay(two):
    page = png.draw(two)
    assert np.array_equal(np.asarray(PIL.Image.open(io.BytesIO(two._repr_png_()))), page)


def test_large_pictures_are_shrunk_for_notebooks(make):
    large = Image(np.full((900, 3000, 3), 90, np.uint8))
    assert size_of(make(on=large)._repr_png_())[0] == notebook.MAX_SHOWN
    [data] = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', make(on=large)._repr_html_())
    assert size_of(base64.b64decode(data)) == (1024, 307)


def test_html_says_what_was_found_and_lets_no_word_become_markup(make, image):
    prompt = Prompt(image.frame, box=(1, 1, 9, 9), label="<b>ship</b>", score=0.256)
    mask = Mask.from_box((1, 1, 9, 9), 40, 60)
    text = make([prompt], [mask], instruction="ships < 3 & more", text="One <script>.")._repr_html_()
    for part in ("<td>&lt;b&gt;ship&lt;/b&gt;</td>", "64 px", "0.26", "<b>ships &lt; 3 &amp; more</b>: 1 target"):
        assert part in text
    assert "One &lt;script&gt;" in text
    assert "<script" not in text


def test_html_lists_so_many_and_counts_the_rest(make, image):
    prompt, mask = Prompt(image.frame, box=(1, 1, 9, 9)), Mask.from_box((1, 1, 9, 9), 40, 60)
    text = make([prompt] * 23, [mask] * 23)._repr_html_()
    assert text.count("64 px") == 20
    assert "... and 3 more" in text
    assert "... and 1 more" in make([prompt] * 21, [mask] * 21)._repr_html_()
    assert "more</div>" not in make([prompt] * 20, [mask] * 20)._repr_html_()


def test_html_of_an_answer_without_targets(make):
    text = make(outcome=Outcome.FAILED, text="I do not know 'dog'.")._repr_html_()
    assert "not answered" in text
    assert "<table>" not in text
    assert "I do not know &#x27;dog&#x27;." in text


@pytest.fixture
def pyplot(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    found = pytest.importorskip("matplotlib.pyplot")
    found.switch_backend("agg")
    yield found
    found.close("all")


def test_plot_draws_in_pixels_of_the_image(two, pyplot):
    axes = two.plot()
    [shown] = axes.get_images()
    assert np.array_equal(shown.get_array(), png.draw_targets(two))
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 60), (40, 0))
    assert axes.get_title() == "the ships: 2 targets"


def test_plot_takes_axes_and_any_words(make, pyplot):
    given = pyplot.subplots()[1]
    assert make(instruction="under $5 and $6").plot(given) is given
    assert given.get_title() == r"under \$5 and \$6: no target"
    given.figure.canvas.draw()
