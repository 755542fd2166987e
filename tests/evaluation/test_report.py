import html.parser
import io
import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evaluation_fakes import HEIGHT, WIDTH, TinyDataset, bench, write_folder
from fiducial import Image, Mask
from fiducial.evaluation import Job, TruthPrompts, evaluate, read_run, summarise
from fiducial.evaluation.comparison import compare, published
from fiducial.evaluation.progress import Progress
from fiducial.evaluation.record import write_records
from fiducial.evaluation.report import Grid, gallery, plots, render, write_comparison, write_reports
from fiducial.evaluation.report.plots import HEIGHT as PLOT_HEIGHT
from fiducial.evaluation.report.plots import WIDTH as PLOT_WIDTH
from fiducial.evaluation.report.plots import Axis, Plot, count_axis, share_axis
from fiducial.evaluation.report.text import cell, difference, label, markdown_table, milliseconds, number, size_class
from fiducial.metrics import Difference, policy
from fiducial.recipes import read_recipe

HOSTILE = (
    '</div><script>alert("1")</script><img src="http://evil.example/x.png" onerror=x> | `a` [b](c)\n# d \x00 \ud83d'
)


class Page(html.parser.HTMLParser):
    """Checks that tags close each other and gathers what there is."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.addresses = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, name, attributes):
        self.seen.append(name)
        self.addresses += [value for key, value in attributes if key in ("src", "href", "action", "data")]
        assert not any(key.startswith("on") for key, _ in attributes)
        if name not in ("meta", "img"):
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.handle_starttag(name, attributes)
        if name not in ("meta", "img"):
            self.open.pop()

    def handle_endtag(self, name):
        assert self.open.pop() == name


class Hostile(TinyDataset):
    name = HOSTILE

    def __getitem__(self, index):
        return replace(super().__getitem__(index), instruction=HOSTILE)


@pytest.fixture
def run(tmp_path):
    return evaluate(bench(30), tmp_path / "run")


def test_one_page_without_scripts_or_requests(run):
    dataset = TinyDataset(30)
    summary, written = write_reports(run, dataset)
    assert [path.name for path in written] == ["summary.json", "report.html", "report.md"]
    text = written[1].read_text()
    page = Page(text)
    assert page.seen.count("svg") == 4
    assert not {"script", "link", "iframe", "object", "form", "base"} & set(page.seen)
    assert page.addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import|https?://", text)
    for word in (
        "mean IoU",
        f"{summary.report['mean_iou']:.4f}",
        "Worst",
        "Best",
        "Random",
        "p95",
        "said that there is",
    ):
        assert word in text
    markdown = written[2].read_text()
    assert f"| mean IoU | {summary.report['mean_iou']:.4f} |" in markdown
    assert "![" not in markdown


def test_what_a_model_wrote_stays_text(tmp_path):
    run = evaluate(bench(10, dataset=Hostile(10)), tmp_path)
    write_reports(run, Hostile(10))
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    assert "script" not in page.seen
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "\x00" not in text
    markdown = (tmp_path / "report.md").read_text()
    assert "<script" not in markdown
    assert "\n# d" not in markdown


def test_without_pictures(run):
    write_reports(run, TinyDataset(30), images=False)
    page = Page((run.folder / "report.html").read_text())
    assert "img" not in page.seen
    assert "--no-images" in (run.folder / "report.html").read_text()


def test_a_run_of_objects_has_no_pictures_afterwards(run):
    write_reports(read_run(run.folder))
    assert "cannot be opened again" in (run.folder / "report.html").read_text()


def test_a_run_of_a_job_opens_its_dataset_again(tmp_path):
    spec = write_folder(tmp_path / "data", count=4)
    run = evaluate(Job(dataset=spec, recipe=read_recipe("classic"), source=TruthPrompts()), tmp_path / "run")
    write_reports(run)
    assert "img" in Page((run.folder / "report.html").read_text()).seen
    (tmp_path / "data" / "images").rename(tmp_path / "data" / "gone")
    write_reports(run)
    assert "Pictures are left out" in (run.folder / "report.html").read_text()


def test_a_picture_that_changed_is_not_shown(run):
    class Other(TinyDataset):
        def __getitem__(self, index):
            return super().__getitem__((index + 1) % self.count)

    write_reports(run, Other(30))
    text = (run.folder / "report.html").read_text()
    assert "is not the one that was measured" in text
    assert "img" not in Page(text).seen


def test_missing_samples_are_told(run):
    write_records(run.records_path, run.ordered()[:7])
    write_reports(run, images=False)
    assert "23 of 30 samples are missing" in (run.folder / "report.html").read_text()
    assert "**23 of 30 samples are missing.**" in (run.folder / "report.md").read_text()


def test_a_resumed_run_tells_every_start(run):
    again = evaluate(bench(30), run.folder, command=["second"])
    write_reports(again, images=False)
    text = (run.folder / "report.html").read_text()
    assert "Every start of the program" in text
    assert "second" in text


def test_comparisons_as_a_page(run, tmp_path):
    other = evaluate(bench(30, source=TruthPrompts()), tmp_path / "other")
    found = compare([run.folder, other.folder], tables=[*published("rrsisd", "test"), *published("coco-grid")])
    written = write_comparison(tmp_path / "c", found)
    page = Page(written[2].read_text())
    assert page.seen.count("svg") == 3
    assert [path.name for path in written[3:]] == ["precision.svg", "iou.svg", "size.svg"]
    for path in written[3:]:
        drawn = ElementTree.parse(path).getroot()
        assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
        assert float(drawn.get("width")) > 0
    text = written[1].read_text()
    assert "| RMSIN | 0.7426 |" in text
    assert "not comparable with the runs above before" in text
    assert "no policy here counts alike" in text
    same = compare([run.folder, other.folder], policy_name="rmsin", tables=published("rrsisd", "test"))
    assert "counted by rmsin, as the runs above" in write_comparison(tmp_path / "d", same)[1].read_text()
    json.loads(written[0].read_text())


# -- gallery ----------------------------------------------------------------------------------------


def test_best_and_worst_share_none_and_random_is_seeded():
    rated = [gallery.Rated(place, place / 20) for place in range(20)]
    choice = gallery.choose(rated, 6)
    assert choice.worst == (0, 1, 2, 3, 4, 5)
    assert choice.best == (19, 18, 17, 16, 15, 14)
    assert choice == gallery.choose(rated[::-1], 6)
    assert choice.random != gallery.choose(rated, 6, seed=1).random
    few = gallery.choose(rated[:3], 6)
    assert (few.worst, few.best) == ((0, 1), (2,))
    assert gallery.choose([], 6) == ((), (), ())


def test_equals_are_drawn_and_the_best_have_a_target():
    nothing = [gallery.Rated(place, 1.0, has_target=False) for place in range(5)]
    missed = [gallery.Rated(place, 0.0) for place in range(5, 30)]
    found = [gallery.Rated(place, 0.5) for place in range(30, 33)]
    choice = gallery.choose([*nothing, *missed, *found], 4)
    assert {30, 31, 32} < set(choice.best)
    assert choice.worst != (5, 6, 7, 8)
    assert set(choice.worst) < set(range(5, 30))
    assert choice.worst != gallery.choose([*nothing, *missed, *found], 4, seed=1).worst


def test_a_group_shows_different_pictures_where_it_can():
    rated = [gallery.Rated(place, place / 100, picture="aaabbbccc"[place] if place < 9 else "d") for place in range(20)]
    assert gallery.choose(rated, 3).worst == (0, 3, 6)
    assert gallery.choose(rated, 2).worst == (0, 3)  # 6 would be another picture, but is not among the worst few
    assert all(gallery.choose([gallery.Rated(place, 0.0, "a") for place in range(20)], 4))


def decoded(address):
    data = __import__("base64").b64decode(address.partition(",")[2])
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)


def near(colour, pixels):
    return (np.abs(pixels - np.array(colour)).sum(axis=2) < 120).any()


def test_pictures_show_truth_and_prediction():
    one = bench(source=TruthPrompts(points=1, negatives=1)).measure(5)
    views = gallery.pictures(one, TinyDataset()[5].image())
    assert len(views) == 1  # the target is most of the small picture
    shown = decoded(views[0])
    assert shown.shape[0] * WIDTH == shown.shape[1] * HEIGHT
    assert max(shown.shape) >= 240
    assert near(gallery.TRUTH, shown)
    assert near(gallery.PREDICTION, shown)


def test_small_targets_get_a_closer_view():
    record = bench(source=TruthPrompts()).measure(5)
    mask = Mask.from_box((300, 200, 320, 215), 600, 900)
    small = replace(record, size=(600, 900), truth=mask.to_coco(), masks=(mask.to_coco(),), prompts=(), truth_boxes=())
    whole, close = gallery.pictures(small, Image(np.full((600, 900, 3), 60, np.uint8)))
    assert max(decoded(whole).shape) == gallery.MAX_SIDE
    assert near(gallery.TRUTH, decoded(close))
    boxes_only = replace(small, truth=None, truth_boxes=((300, 200, 320, 215),), masks=())
    assert near(gallery.TRUTH, decoded(gallery.pictures(boxes_only, Image(np.full((600, 900, 3), 60, np.uint8)))[1]))
    far = Mask.from_box((700, 500, 890, 590), 600, 900)
    aside = replace(small, masks=(far.to_coco(),))
    shown = gallery.pictures(aside, Image(np.full((600, 900, 3), 60, np.uint8)))
    assert len(shown) == 2  # the target alone, where what was found lies too far away
    assert near(gallery.TRUTH, decoded(shown[1]))
    assert not near(gallery.PREDICTION, decoded(shown[1]))
    nothing = replace(small, truth=Mask.empty(600, 900).to_coco(), masks=())
    assert len(gallery.pictures(nothing, Image(np.full((600, 900, 3), 60, np.uint8)))) == 1


# -- templates, plots, words ------------------------------------------------------------------------


def comparison_values(text):
    grid = Grid(("a", text), [(text, "1")], (1,))
    page = {"stacked_numbers": grid, "plots": {"p": (plots.Plot(share_axis(text), share_axis("y"), text).svg(), text)}}
    words = dict.fromkeys(("title", "lead", "note"), text)
    return {**words, **page, "numbers": grid, "folders": grid, "published": [(text, grid, text)]}


@settings(max_examples=30)
@given(st.text(st.characters(categories=None)))
@example(HOSTILE)
def test_text_is_escaped_wherever_it_is_put(text):
    page = Page(render("comparison.html", comparison_values(text)))
    assert page.seen == Page(render("comparison.html", comparison_values("plain"))).seen
    assert page.addresses == []


@settings(max_examples=30)
@given(st.text())
@example(HOSTILE)
def test_text_makes_no_markdown(text):
    lines = render("comparison.md", comparison_values(text)).split("\n")
    expected = render("comparison.md", comparison_values("plain")).split("\n")
    assert len(lines) == len(expected)
    for line, plain in zip(lines, expected, strict=True):
        assert not re.search(r"<|(?<!\\)`|(?<!\\)\](?!\()\(", line)
        assert len(re.findall(r"(?<!\\)\|", line.replace("\\\\", ""))) == plain.count("|")


def test_names_in_plots_are_text():
    axis = share_axis(HOSTILE)
    drawn = plots.standalone(Plot(axis, axis, HOSTILE).line([(0, 0), (1, 1)], name=HOSTILE[:50]).svg())
    texts = [one.text for one in ElementTree.fromstring(drawn).iter() if one.tag.endswith("}text")]
    assert any(text.startswith("</div><script>") for text in texts)


def test_plots_stay_inside_their_frame():
    plot = Plot(Axis(0.1, 10, (0.1, 1, 10), "x", logarithmic=True), count_axis(37, "n"), "t")
    plot.line([(0.01, -5), (100, 500)], name="a name that is much too long " * 3).dots([(1, 1)])
    svg = plot.bars([(0.1, 1, 9)]).svg()
    for x, y in re.findall(r'(?:points="| )(-?[\d.]+),(-?[\d.]+)', svg):
        assert 0 <= float(x) <= PLOT_WIDTH
        assert 0 <= float(y) <= PLOT_HEIGHT
    assert "..." in svg
    assert ">40<" in svg


@pytest.mark.parametrize(("most", "high"), [(0, 1), (1, 1), (4, 4), (7, 8), (37, 40), (101, 150), (12345, 15000)])
def test_counts_go_up_to_a_round_number(most, high):
    assert count_axis(most, "n").high == high


def test_figures_of_few_samples(tmp_path):
    summary = summarise(evaluate(bench(1), tmp_path))
    assert len(plots.plots_of_run(summary)) == 4


def test_words():
    rules = policy("fiducial")
    assert label("p@0.5", rules) == ("P@0.5", "share of samples with mask IoU >= 0.5")
    assert label("box_acc@0.7", policy("visionreasoner"))[1].endswith("box IoU > 0.7")
    assert [number(value) for value in (None, 12345, 0.5)] == ["–", "12,345", "0.5000"]
    assert [milliseconds(value) for value in (0.0012345, 0.0123, 1.5)] == ["1.23", "12.3", "1,500"]
    assert [size_class(*pair) for pair in ((0, 0), (0, 0.001), (0.01, 0.05))] == [
        "no target",
        "up to 0.1 %",
        "1 % to 5 %",
    ]
    assert cell("a|b\n<c>&*") == "a\\|b &lt;c&gt;&amp;\\*"
    assert markdown_table(("a", "b"), [("1", "x|y")]).splitlines()[2] == "| 1 | x\\|y |"


# -- progress ---------------------------------------------------------------------------------------


def test_progress_in_lines(capsys, monkeypatch):
    record = bench().measure(7)
    with Progress("red") as progress:
        progress(record, 1, 2)
        progress(record, 2, 2)
    told = capsys.readouterr().err
    assert re.fullmatch(r"red: 2/2, [\d.]+/s, 0:00 left \(2 malformed\)\n", told)
    with Progress("red", quiet=True) as progress:
        progress(record, 2, 2)
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    monkeypatch.setattr("progressbar.streams.original_stderr", shown)  # what it was when the bar was imported
    with Progress("[red]") as progress:
        progress(bench().measure(0), 1, 2)
    assert "[red]" in shown.getvalue()


def test_what_is_over_at_once_is_not_told_of_where_nobody_watches(capsys, monkeypatch):
    with Progress("export", brief=True) as progress:
        progress.count(1, 2)
        progress.count(2, 2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("fiducial.evaluation.progress.PAUSE", 0.0)
    with Progress("export", brief=True) as progress:
        progress.count(1, 2)
        progress.count(2, 2)
    assert [line.partition(",")[0] for line in capsys.readouterr().err.splitlines()] == ["export: 1/2", "export: 2/2"]


def test_long_times_have_hours():
    from fiducial.evaluation.progress import clock

    assert [clock(value) for value in (59.6, 3725)] == ["1:00", "1:02:05"]


def test_a_difference_of_nothing_has_no_minus():
    assert difference(Difference(-0.0001, -0.02, -0.0004, 0.5)) == "+0.000 (-0.020 to +0.000)*"
    assert difference(None) == "–"


def test_bars_of_several_runs_stand_beside_each_other(tmp_path):
    rows = summarise(evaluate(bench(20), tmp_path / "run")).rows
    drawn = plots._histogram([("one", rows), ("two", rows)], 10)
    bars = [
        float(x)
        for x in re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="[\d.]+" height="[\d.]+"[^>]*><title>', drawn)
    ]
    assert len(bars) == len(set(bars))
    assert "one" in drawn
    assert "two" in drawn
    assert plots._mean_by_size([("none", [row for row in rows if row.share == 0])]).startswith("<svg")


def test_many_runs_stand_in_rows(tmp_path):
    sources = [None, *(TruthPrompts(points=points) for points in range(9))]
    runs = [evaluate(bench(8, source=one), tmp_path / f"{k}").folder for k, one in enumerate(sources)]
    written = write_comparison(tmp_path / "c", compare(runs))
    page = Page(written[2].read_text())
    assert page.seen.count("svg") == 2  # bars of ten runs would be splinters
    assert page.seen.count("small") == 2 * 9 * 4  # a difference and its interval, per further run and statistic
    assert 'stroke-dasharray="6 4"' in written[2].read_text()
    assert [path.name for path in written[3:]] == ["precision.svg", "size.svg"]
