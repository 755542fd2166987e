import pytest

from fiducial.errors import InputError, ModelError
from fiducial.jobs import engines
from fiducial.jobs.configs import BatchOptions, Work
from fiducial.jobs.manifest import Row
from fiducial.jobs.working import Ended, Lot
from fiducial.recipes import read_recipe
from fiducial.workers import WorkerDiedError

ROWS = [(place, Row(place, f"{place}", "a.png")) for place in range(6)]
LOTS = [Lot(tuple(ROWS[first:last])) for first, last in ((0, 1), (1, 4), (4, 5), (5, 6))]


@pytest.fixture
def work(tmp_path):
    return Work(recipe=read_recipe("classic"), base=tmp_path)


class Processes:
    """Stands for processes that die of some rows, and of what is in their hands with them."""

    def __init__(self, deadly, *, loads=True, once=()):
        self.deadly, self.loads, self.once = set(deadly), loads, set(once)
        self.pools = []

    def __call__(self, work, items, workers, *, ahead=2, threads=None):
        self.pools.append(workers)
        held = []
        for lot in items:
            held.append(lot)
            places = {place for place, _ in lot.rows}
            if not self.loads or places & (self.deadly | self.once):
                self.once -= places
                raise WorkerDiedError(held)
            if len(held) == ahead * workers:
                yield self._done(held.pop(0))
        while held:
            yield self._done(held.pop(0))

    def _done(self, lot):
        return lot, tuple(Ended(place, "found", 1, "{}") for place, _ in lot.rows)


def ends(monkeypatch, work, processes, workers=2):
    monkeypatch.setattr(engines, "in_processes", processes)
    ended = [one for some in engines.with_processes(work, LOTS, workers) for one in some]
    return {one.place: one.outcome for one in ended}, len(ended)


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("deadly", [(), (0,), (2,), (5,), (0, 1, 2, 3, 4, 5)])
def test_only_the_rows_that_a_process_dies_of_are_dead_and_each_ends_once(monkeypatch, work, workers, deadly):
    outcomes, count = ends(monkeypatch, work, Processes(deadly), workers)
    assert count == 6
    assert outcomes == {place: "dead" if place in deadly else "found" for place in range(6)}


def test_a_process_that_dies_once_costs_no_row(monkeypatch, work):
    processes = Processes((), once=(2,))
    assert ends(monkeypatch, work, processes) == (dict.fromkeys(range(6), "found"), 6)
    assert processes.pools == [2, 1, 2]  # together, alone, together again


def test_a_row_is_dead_when_three_processes_died_of_it_alone(monkeypatch, work):
    processes = Processes((5,))
    assert ends(monkeypatch, work, processes)[0][5] == "dead"
    assert processes.pools == [2, 1, 1, 1, 1, 2]  # the last process alone has nothing left to do


def test_dying_before_the_models_are_loaded_is_no_rows_fault(monkeypatch, work):
    with pytest.raises(ModelError, match="before its models were loaded"):
        ends(monkeypatch, work, Processes((), loads=False))


def test_an_error_of_loading_is_raised_as_it_is(monkeypatch, work):
    def failing(work_here, items, workers, **options):
        yield next(iter(items)), InputError("no such weights")

    with pytest.raises(InputError, match="no such weights"):
        ends(monkeypatch, work, failing)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "ray", "workers": 0}, "ray works in processes of its own"),
        ({"gpus": 1}, "for the engine ray"),
        ({"address": "auto"}, "for the engine ray"),
        ({"dialect": "sjtv"}, "did you mean 'sjtu'"),
        ({"engine": "spark"}, "unknown value"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        BatchOptions(**options)
