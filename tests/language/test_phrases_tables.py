from lark import Lark, Tree

from fiducial.language.phrases import tables

SAID = (
    "all ships",
    "the two largest red ships left of the pier except the northernmost one",
    "every second car in the top row and the one between the crane and the bridge",
    "things wider than 20 pixels in the upper left or on the right, but only the dark ones",
)


def test_the_tables_that_are_kept_are_those_of_this_grammar():
    assert tables.kept() is not None, "the grammar, or the lark of constraints.txt, has changed: make grammar"


def test_tables_are_written_as_they_are_read(monkeypatch, tmp_path):
    (tmp_path / tables._NAME).write_text(tables.content())
    grammar = tables._grammar()
    monkeypatch.setattr(tables, "_grammar", lambda: grammar)
    monkeypatch.setattr(tables, "_HERE", tmp_path)
    assert tables.kept().parse(SAID[0]) == tables.worked_out().parse(SAID[0])


def test_tables_read_as_the_grammar_does():
    kept, anew = tables.kept(), tables.worked_out()
    for plain in SAID:
        tree = kept.parse(plain)
        assert isinstance(tree, Tree)
        assert tree == anew.parse(plain)


def test_tables_of_another_grammar_are_not_used(monkeypatch):
    monkeypatch.setattr(tables, "_grammar", lambda: 'request: "a"')
    assert tables.kept() is None
    monkeypatch.undo()
    monkeypatch.setattr(tables, "lark_version", "0")
    assert tables.kept() is None
    tables.parser.cache_clear()
    assert isinstance(tables.parser(), Lark)
    tables.parser.cache_clear()
