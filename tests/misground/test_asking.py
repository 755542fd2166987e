"""Asking and scoring: resumed after any stop, counted by factor, with tests that can tell levels apart."""

import json
from dataclasses import replace

import pytest

from fiducial.cli import main
from fiducial.contracts import TextReply
from fiducial.errors import InputError, UnknownNameError
from fiducial.misground.asking import REPLIES, ask, pictures_of, read_asked
from fiducial.misground.baselines import BASELINES
from fiducial.misground.building import BuildConfig, build
from fiducial.misground.items import ITEMS, item_lines, read_items
from fiducial.misground.scoring import compare, paired_tests, read_scored, summarise
from fiducial.misground.sources import PhantomConfig
from fiducial.prompters.model_configs import VLMConfig


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asked") / "bench"
    return build([PhantomConfig()], folder, BuildConfig(per_volume=100, size=64)).folder


class Talker:
    """Knows everything while the view is radiological, and takes directions for their opposites in storage order.

    It goes by the text: names that are written on the picture change nothing for it.
    """

    def __init__(self, items, stop_after=None, fail=()):
        self.known = {item.text: item for item in items}
        self.asked, self.stop_after, self.fail = [], stop_after, fail

    def converse(self, images, texts):
        replies = []
        for shown, text in zip(images, texts, strict=True):
            if self.stop_after is not None and len(self.asked) >= self.stop_after:
                raise KeyboardInterrupt
            item = self.known[text]
            assert len(shown) == len(item.images)
            self.asked.append(item.id)
            if item.id in self.fail:
                replies.append(TextReply("", failure="no connection"))
                continue
            flips = item.factors.view == "storage" and item.flipped is not None
            replies.append(TextReply(f"The answer is {'ABCD'[item.flipped if flips else item.answer]}."))
        return replies


def test_a_run_that_is_stopped_goes_on(benchmark, tmp_path):
    items = read_items(benchmark)
    first = Talker(items, stop_after=40)
    with pytest.raises(KeyboardInterrupt):
        ask(benchmark, tmp_path / "run", prompter=first, batch=5)
    with (tmp_path / "run" / REPLIES).open("ab") as file:
        file.write(b'{"id": "torn')
    second = Talker(items)
    run = ask(benchmark, tmp_path / "run", prompter=second, batch=5)
    assert len(first.asked) == 40
    assert len(second.asked) == len(items) - 40
    assert list(run.replies()) == [item.id for item in items]
    assert len(read_asked(tmp_path / "run").sessions) == 2
    with pytest.raises(InputError, match="other settings"):
        ask(benchmark, tmp_path / "run", prompter=second, limit=3)


def test_what_failed_is_asked_again(benchmark, tmp_path):
    items = read_items(benchmark)
    failing = {items[2].id, items[9].id}
    run = ask(benchmark, tmp_path / "run", prompter=Talker(items, fail=failing))
    scored = read_scored(run)
    summary = summarise(run, scored)
    assert summary.failed == 2
    assert summary.total.unread == pytest.approx(2 / len(items))
    again = Talker(items)
    ask(benchmark, tmp_path / "run", prompter=again, retry_failed=True)
    assert sorted(again.asked) == sorted(failing)


class Waverer(Talker):
    """Is wrong the first time, right three times, and says nothing the fifth time."""

    def __init__(self, items, number=0):
        super().__init__(items)
        self.number, self.items = number, items

    def ask(self, images, instructions):
        raise AssertionError("it is to talk")

    def sampled(self, number):
        return Waverer(self.items, number)

    def converse(self, images, texts):
        found = []
        for text in texts:
            item = self.known[text]
            place = (item.answer + (self.number == 0)) % len(item.options)
            found.append(TextReply("I do not know" if self.number == 4 else "ABCD"[place]))
        return found


def test_of_several_replies_the_choice_that_comes_most_often_is_taken(benchmark, tmp_path):
    items = read_items(benchmark)
    alone = ask(benchmark, tmp_path / "one", prompter=Waverer(items), limit=20)
    assert summarise(alone, read_scored(alone)).total.accuracy == 0
    run = ask(benchmark, tmp_path / "five", prompter=Waverer(items), limit=20, samples=5)
    assert summarise(run, read_scored(run)).total.accuracy == 1
    assert {reply.agreement for reply in run.replies().values()} == {3 / 5}
    assert all(reply.text.endswith("[5] I do not know") for reply in run.replies().values())
    assert run.name == "Waverer (5 samples)"
    assert all(reply.agreement is None for reply in alone.replies().values())
    with pytest.raises(InputError, match="other settings"):
        ask(benchmark, tmp_path / "five", prompter=Waverer(items), limit=20, samples=3)


def test_what_draws_nothing_is_not_asked_several_times(benchmark, tmp_path):
    with pytest.raises(InputError, match="draws nothing"):
        ask(benchmark, tmp_path / "a", prompter=Talker(read_items(benchmark)), samples=2)
    with pytest.raises(InputError, match="a baseline once"):
        ask(benchmark, tmp_path / "b", baseline="first", samples=2)
    with pytest.raises(InputError, match="while nothing is drawn"):
        ask(benchmark, tmp_path / "c", prompter=VLMConfig(model="nowhere"), samples=2)


def test_a_factor_that_matters_is_told_from_those_that_do_not(benchmark, tmp_path):
    items = read_items(benchmark)
    run = ask(benchmark, tmp_path / "run", prompter=Talker(items))
    summary = summarise(run, read_scored(run))
    views = summary.levels["view"]
    assert views["radiological"].accuracy == 1.0
    assert views["storage"].accuracy < 0.7
    assert views["storage"].flips == 1.0
    tests = {test.factor: test for test in summary.tests}
    assert tests["view"].difference.low > 0
    assert tests["view"].p < 0.01
    assert tests["view"].p < tests["view"].p_holm < 1
    assert tests["view"].pairs == sum(item.factors.view == "storage" for item in items)
    assert all(test.p == 1.0 for test in summary.tests if test.factor != "view")


def test_baselines_say_what_a_score_means(benchmark, tmp_path):
    items = read_items(benchmark)
    found = {}
    for name in BASELINES:
        run = ask(benchmark, tmp_path / name, baseline=name)
        found[name] = summarise(run, read_scored(run)).total
    assert found["oracle"].accuracy == 1.0
    with_opposite = sum(item.flipped is not None for item in items)
    assert found["antonym-flip"].accuracy == pytest.approx(1 - with_opposite / len(items))
    assert found["antonym-flip"].flips == 1.0
    assert found["first"].accuracy == pytest.approx(sum(item.answer == 0 for item in items) / len(items))
    assert found["majority"].accuracy >= found["first"].accuracy
    assert found["first"].low < found["first"].accuracy < found["first"].high
    with pytest.raises(UnknownNameError, match="baseline"):
        ask(benchmark, tmp_path / "other", baseline="genius")
    with pytest.raises(InputError, match="one of the two"):
        ask(benchmark, tmp_path / "other")


def test_the_words_alone_cannot_leak_through_variants(benchmark):
    """Variants of a situation have the same answer: learned across them, the words would tell everything."""
    items = read_items(benchmark)
    answers = BASELINES["text-only"](items)
    alone = BASELINES["text-only"]([replace(item, situation=item.id) for item in items])
    right, leaked = (
        sum(place == item.answer for place, item in zip(places, items, strict=True)) / len(items)
        for places in (answers, alone)
    )
    assert leaked > right + 0.1


def test_runs_are_compared_on_what_both_were_asked(benchmark, tmp_path):
    items = read_items(benchmark)
    oracle = ask(benchmark, tmp_path / "oracle", baseline="oracle")
    some = ask(benchmark, tmp_path / "some", prompter=Talker(items), limit=60)
    (apart,) = compare([("oracle", read_scored(oracle)), ("some", read_scored(some))])
    assert apart.n == 60 < len(items)
    assert apart.difference.value < 0
    assert apart.accuracies[1] == 1.0
    situations = [item.situation for item in some.items()]
    whole = [sum(item.situation == name for item in items) == situations.count(name) for name in set(situations)]
    assert sum(not one for one in whole) <= 1  # a limit cuts at most one situation


def test_one_picture_of_several(benchmark):
    item = next(item for item in read_items(benchmark) if len(item.images) > 2)
    apart, (together,) = pictures_of(benchmark, item, "several"), pictures_of(benchmark, item, "sheet")
    assert len(apart) == len(item.images)
    assert together.width > 2 * apart[0].width
    top = together.height // (-(-len(apart) // (2 if len(apart) <= 4 else 3))) - apart[0].height
    assert (together.pixels[top : top + apart[0].height, : apart[0].width] == apart[0].pixels).all()


def test_a_benchmark_that_was_built_anew_is_noticed(benchmark, tmp_path):
    copy = tmp_path / "bench"
    copy.mkdir()
    items = read_items(benchmark)
    (copy / ITEMS).write_text(item_lines(items))
    run = ask(copy, tmp_path / "run", baseline="first")
    (copy / ITEMS).write_text(item_lines(items[1:]))
    with pytest.raises(InputError, match="built anew"):
        read_scored(run)


def test_the_commands(benchmark, tmp_path, capsys):
    runs = [str(tmp_path / name) for name in ("first", "antonym-flip")]
    for run in runs:
        words = ["run", str(benchmark), "--baseline", run.rpartition("/")[2], "--out", run, "--quiet"]
        assert main(["misground", *words]) == 0
    assert main(["misground", "score", *runs, "--out", str(tmp_path / "both")]) == 0
    said = capsys.readouterr().out
    assert "antonym-flip - first" in said
    page = (tmp_path / "first" / "report.html").read_text()
    assert page.count("data:image/jpeg") >= 7
    assert "<script" not in page
    assert "McNemar" in (tmp_path / "first" / "report.md").read_text()
    summary = json.loads((tmp_path / "first" / "summary.json").read_text())
    assert summary["total"]["n"] == summary["planned"] == 100
    assert json.loads((tmp_path / "both" / "compare.json").read_text())["differences"][0]["minus"] == "first"
    assert main(["misground", "score", *runs, "--json"]) == 0
    assert [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()] == ["first", "antonym-flip"]
    assert main(["misground"]) == main(["misground", "--help"]) == 0
    assert main(["misground", "guess"]) == 2
    assert main(["misground", "run", str(benchmark), "--out", runs[0], "--prompter", "classic", "--quiet"]) == 2


def test_no_pairs_no_tests(benchmark):
    assert paired_tests([]) == ()
