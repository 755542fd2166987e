import json
import os
import sqlite3

import pytest

from fiducial.errors import InputError, ModelError
from fiducial.jobs import ledger as module
from fiducial.jobs.ledger import LEDGER, Ledger
from fiducial.jobs.manifest import Manifest
from fiducial.jobs.working import Ended, dead

SETTINGS = {"recipe": {"name": "red", "refiners": []}, "shard": 4}


def manifest(folder, images, **more):
    path = folder / "rows.jsonl"
    rows = [{"id": f"r{n}", "image": image, "instruction": "x", **more} for n, image in enumerate(images)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Manifest(path)


def opened(folder, images="abcabcab", settings=SETTINGS, **options):
    return Ledger(folder / "out", settings, manifest(folder, images), **{"shard": 3, **options})


def ids(lots):
    return [[row.id for _, row in lot.rows] for lot in lots]


def done(place, targets=1):
    return Ended(place, "found", targets, "{}")


def test_rows_of_one_picture_stay_together_in_the_order_of_their_pictures(tmp_path):
    with opened(tmp_path) as ledger:
        assert ids(ledger.lots()) == [["r0", "r3", "r6"], ["r1", "r4", "r7"], ["r2", "r5"]]
        assert [place for lot in ledger.lots() for place, _ in lot.rows] == [*range(8)]
        assert ledger.counts() == {"": (8, 0)}


def test_a_model_that_is_asked_about_several_gets_them_from_several_pictures(tmp_path):
    with opened(tmp_path, "abcdeabc", together=3) as ledger:
        assert ids(ledger.lots()) == [["r0", "r5", "r1", "r6"], ["r2", "r7", "r3"], ["r4"]]


def test_a_picture_of_many_rows_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_OF_ONE_PICTURE", 4)
    monkeypatch.setattr(module, "_PIECE", 3)
    with opened(tmp_path, "a" * 10 + "b", shard=5) as ledger:
        assert [len(lot.rows) for lot in ledger.lots()] == [4, 4, 2, 1]
        ledger.end([done(place) for place in range(8)])
        assert [(shard.first, shard.last) for shard in ledger.whole_shards()] == [(0, 7)]


def test_what_ended_is_not_worked_on_again_and_a_shard_is_whole_when_all_of_it_has(tmp_path):
    with opened(tmp_path) as ledger:
        ledger.end([done(0), dead(2, "no\nsuch  file")])
        assert ledger.whole_shards() == []
    with opened(tmp_path) as ledger:
        assert ids(ledger.lots()) == [["r3"], ["r1", "r4", "r7"], ["r2", "r5"]]
        ledger.end([done(1, 3)])
        (shard,) = ledger.whole_shards()
        assert (shard.number, shard.first, shard.last) == (0, 0, 2)
        assert [one.row.id for one in ledger.of_shard(shard)] == ["r0", "r3"]
        assert ledger.targets(shard) == {1: 1, 4: 3}
        assert [(one.row.id, one.result) for one in ledger.dead()] == [("r6", "no such file")]
        ledger.written(shard, {})
        assert ledger.whole_shards() == []
        assert ledger.counts() == {"": (5, 0), "dead": (1, 0), "found": (2, 4)}


def test_what_ends_while_lots_are_taken_changes_none_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PIECE", 2)
    with opened(tmp_path) as ledger:
        seen = []
        for lot in ledger.lots():
            seen += [row.id for _, row in lot.rows]
            ledger.end([done(place) for place, _ in lot.rows])
        assert seen == ["r0", "r3", "r6", "r1", "r4", "r7", "r2", "r5"]
        assert "" not in ledger.counts()


def test_no_row_ends_twice_and_all_of_a_lot_or_none_end(tmp_path):
    with opened(tmp_path) as ledger:
        ledger.end([done(0)])
        with pytest.raises(ModelError, match="row 0 ended twice"):
            ledger.end([done(1), done(0)])
        assert ledger.counts() == {"": (7, 0), "found": (1, 1)}


def test_a_second_process_is_told(tmp_path):
    with opened(tmp_path), pytest.raises(InputError, match="another process is writing to it"):
        opened(tmp_path)
    with opened(tmp_path):
        pass


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"recipe": {"name": "blue", "refiners": []}}, 'recipe.name: "red" there, "blue" now'),
        ({"recipe": {"name": "red", "refiners": ["cfpg"]}}, 'recipe.refiners.0: null there, "cfpg" now'),
        ({"manifest": "1"}, 'manifest: null there, "1" now'),
    ],
)
def test_other_settings_are_told(tmp_path, change, said):
    opened(tmp_path).__exit__()
    with pytest.raises(InputError) as error:
        opened(tmp_path, settings={**SETTINGS, **change})
    assert said in str(error.value)
    opened(tmp_path).__exit__()


def test_two_rows_of_one_id_are_told_before_anything_is_begun(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("id,image,instruction\n7,a.png,x\n8,b.png,x\n7,c.png,x\n")
    with pytest.raises(InputError, match=r"rows 1 and 3 have the id '7'"):
        Ledger(tmp_path / "out", SETTINGS, Manifest(path))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["lock"]


@pytest.mark.parametrize(
    ("text", "said"), [("", "holds no row"), ('{"image": "a"}\n{', "none of its 2 rows can be worked on; the first: ")]
)
def test_a_manifest_without_a_sound_row_is_an_error(tmp_path, text, said):
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        Ledger(tmp_path / "out", SETTINGS, Manifest(path))


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text("{}")
    with pytest.raises(InputError, match="holds something else"):
        opened(tmp_path)


def test_a_plan_that_was_cut_off_is_made_anew(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ledger.part").write_bytes(b"SQLite format 3\0 and no more")
    with opened(tmp_path) as ledger:
        assert ledger.counts() == {"": (8, 0)}


def test_rows_whose_file_is_gone_are_done_again_but_not_the_dead(tmp_path):
    with opened(tmp_path) as ledger:
        ledger.end([done(0), dead(1, "gone"), done(2), *(done(place) for place in range(3, 6))])
        for shard in ledger.whole_shards():
            (ledger.folder / f"{shard.number}").write_bytes(b"four")
            ledger.written(shard, {f"{shard.number}": 4})
    (tmp_path / "out" / "0").write_bytes(b"cut")
    with opened(tmp_path) as ledger:
        assert ledger.lost == ["0"]
        assert ids(ledger.lots()) == [["r0", "r6"], ["r2", "r5"]]
        ledger.end([done(0), done(2)])
        assert [shard.number for shard in ledger.whole_shards()] == [0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_told(tmp_path):
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(InputError, match="cannot be written"):
        opened(tmp_path)


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="the folder cannot be made"):
        opened(tmp_path)


def test_a_full_disk_is_told_and_nothing_is_half_written(tmp_path):
    with opened(tmp_path) as ledger:
        pages = ledger._base.execute("PRAGMA page_count").fetchone()[0]
        ledger._base.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(InputError, match=f"{LEDGER}: cannot be written .*full"):
            ledger.end([Ended(place, "found", 1, "x" * 9000) for place in range(4)])
        assert ledger.counts() == {"": (8, 0)}
    with opened(tmp_path) as ledger:
        ledger.end([done(0)])
        assert ledger.counts() == {"": (7, 0), "found": (1, 1)}


def test_a_plan_on_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    connect = sqlite3.connect

    def full(path, **options):
        base = connect(path, **options)
        base.execute("PRAGMA max_page_count = 12")
        return base

    rows = manifest(tmp_path, [f"{n:04}" * 200 for n in range(300)])
    monkeypatch.setattr(sqlite3, "connect", full)
    with pytest.raises(InputError, match="full"):
        Ledger(tmp_path / "out", SETTINGS, rows)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["lock"]


def test_a_ledger_that_is_none_is_told(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / LEDGER).write_bytes(b"something else, which is no database at all" * 30)
    with pytest.raises(InputError, match="is not as it was written"):
        opened(tmp_path)


def test_it_is_known_whether_a_prompter_is_asked(tmp_path):
    with opened(tmp_path) as ledger:
        assert ledger.asks()
    given = manifest(tmp_path, "ab", prompts=[])
    with Ledger(tmp_path / "given", SETTINGS, given) as ledger:
        assert not ledger.asks()
