import pytest

from fiducial.errors import InputError
from fiducial.prompters.grounder.vocabulary import Vocabulary
from fiducial.training.configs import load_config
from fiducial.training.grounder import GrounderConfig
from fiducial.training.grounder.config import Phase, Source

SOURCE = Source("scenes:shapes")


def test_sizes_follow_the_phases():
    config = load_config(GrounderConfig, "nano-grounder")
    assert config.steps == 4500
    assert [config.size_at(step) for step in (0, 2999, 3000, 4499)] == [256, 256, 320, 320]


@pytest.mark.parametrize("name", ["nano-grounder", "nano-grounder-muon"])
def test_the_shipped_runs_are_readable_and_their_names_are_in_the_vocabulary(name):
    config = load_config(GrounderConfig, name)
    known = set(Vocabulary.read().names)
    for source in config.data:
        assert {name for _, name in source.names} <= known
        assert source.label in (known | {""})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data": ()}, "at least one dataset"),
        ({"phases": ()}, "at least one phase"),
        ({"phases": (Phase(256, 0),)}, "at least one step"),
        ({"phases": (Phase(100, 1),)}, "a multiple of 32 for this network, got 100"),
        ({"batch": 1}, "at least 2 crops, got 1"),
        ({"data": (Source("a", share=0.0),)}, "not all zero"),
        ({"data": (Source("a", scale=(0.0, 1.0)),)}, r"low, high above 0, got \(0.0, 1.0\)"),
    ],
)
def test_numbers_out_of_range_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        GrounderConfig(**{"data": (SOURCE,), "phases": (Phase(64, 1),), **values})
