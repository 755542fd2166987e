import os
import subprocess
import sys

import pytest

from evaluation_fakes import ENVIRONMENT
from fiducial.workers import WorkerDiedError, in_processes, watch_parent


def twice(number):
    return 2 * number


def twice_unless_three(number):
    if number == 3:
        os._exit(9)
    return 2 * number


def threads(_):
    return os.environ.get("OMP_NUM_THREADS")


def test_each_item_comes_once_and_no_more_are_taken_than_are_handed_out():
    taken = []
    results = in_processes(twice, (taken.append(one) or one for one in range(40)), 2)
    first = next(results)
    assert len(taken) <= 5
    assert sorted([first, *results]) == [(one, 2 * one) for one in range(40)]


def test_a_process_that_dies_says_what_was_lost_with_it():
    done = []
    with pytest.raises(WorkerDiedError, match="a worker process died") as lost:
        done.extend(in_processes(twice_unless_three, iter(range(9)), 1))
    assert done == [(0, 0), (1, 2), (2, 4)]
    assert lost.value.items[0] == 3
    assert set(lost.value.items) <= {3, 4}


def test_a_process_computes_on_as_many_threads_as_it_was_told():
    assert list(in_processes(threads, [0], 1, threads=3)) == [(0, "3")]


def test_workers_do_not_outlive_their_parent():
    code = (
        "import multiprocessing, time; from evaluation_fakes import wait_as_a_worker\n"
        "if __name__ == '__main__':\n"
        "    multiprocessing.get_context('spawn').Process(target=wait_as_a_worker).start(); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    # The worker holds the other end of the pipe: it is gone when the pipe ends.
    assert parent.stdout.read() == ""
    parent.stdout.close()
    assert worker != parent.pid


def test_the_watch_is_for_workers_only():
    assert watch_parent() is None
