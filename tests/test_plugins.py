import pytest

from fiducial import plugins
from fiducial.errors import InputError, MissingExtraError, UnknownNameError
from fiducial.plugins import Part, find, parts, split_reference


@pytest.fixture
def plugged(monkeypatch):
    """Makes entry points that give what a test wants."""

    class Entry:
        name = "other"

        def __init__(self, given):
            self.load = lambda: given

    def plug(given):
        monkeypatch.setattr(plugins, "entry_points", lambda group: [Entry(given)])
        parts.cache_clear()

    yield plug
    parts.cache_clear()


def test_every_built_in_part_can_be_imported():
    for part in parts().values():
        assert callable(part._load(part.name)), part


def test_unknown_names_come_with_a_suggestion():
    with pytest.raises(UnknownNameError, match=r"unknown prompter 'qwen3': did you mean 'qwen3-vl'\?"):
        find("prompter", "qwen3")


def test_parts_of_other_packages_join(plugged):
    plugged(lambda: [Part("segmenter", "square", "collections:OrderedDict", "a stand-in")])
    assert find("segmenter", "square").build() == {}
    plugged([Part("segmenter", "square", "collections:OrderedDict", "a stand-in")])
    assert find("segmenter", "square").build(a=1) == {"a": 1}


def test_plugins_that_make_no_sense_are_refused(plugged):
    plugged(["square"])
    with pytest.raises(InputError, match=r"no fiducial\.plugins\.Part"):
        parts()
    plugged([Part("segmenter", "grabcut", "x:y", "")])
    with pytest.raises(InputError, match="there is a segmenter 'grabcut' already"):
        parts()


def test_models_only_where_they_make_sense():
    with pytest.raises(InputError, match="takes no"):
        find("segmenter", "grabcut").build("some/model")
    with pytest.raises(InputError, match="needs model"):
        find("prompter", "oracle").build()


def test_unknown_options_are_named():
    with pytest.raises(InputError, match="'gird'"):
        find("overlay", "grid").build(gird=3)
    with pytest.raises(InputError, match="unknown option"):
        find("segmenter", "grabcut").build(nope=1)
    with pytest.raises(TypeError, match="missing string argument"):
        Part("overlay", "x", "builtins:int", "").build(base=8)


def test_missing_packages_name_the_extra():
    with pytest.raises(MissingExtraError, match=r"pip install 'fiducial\[models\]'"):
        Part("segmenter", "x", "no_such_package.module:Thing", "", extra="models").build()
    with pytest.raises(ModuleNotFoundError):
        Part("segmenter", "x", "fiducial.no_such_module:Thing", "").build()


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("Classic", ("classic", None)),
        ("sam2:/a/b", ("sam2", "/a/b")),
        ("vlm:C:\\models", ("vlm", "C:\\models")),
        ("x:", ("x", None)),
    ],
)
def test_references(reference, expected):
    assert split_reference(reference) == expected


def test_a_broken_plugin_is_left_out_and_said(monkeypatch):
    class Broken:
        name = "broken"

        def load(self):
            raise ImportError("no module named 'gone'")

    monkeypatch.setattr(plugins, "entry_points", lambda group: [Broken()])
    plugins.parts.cache_clear()
    with pytest.warns(UserWarning, match="plugin 'broken' cannot be loaded.*gone"):
        assert find("segmenter", "grabcut")
    plugins.parts.cache_clear()
