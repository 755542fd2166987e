import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from fiducial.cli import main
from fiducial.config import read_part
from fiducial.geometry import Prompts
from fiducial.rewards import MaskService
from reward_server import client, completions, picture


class Process:
    """``fiducial serve`` as somebody starts it; ``url`` is what it says that it listens at."""

    def __init__(self, port=0, *words, service=("reward",), **environment):
        command = [sys.executable, "-m", "fiducial", "serve", *service, "--port", str(port), *words]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        self.said = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.said)
        assert found, self.process.communicate()[1]
        self.url, self.port = found[0], int(found[1])

    def end(self, number=signal.SIGTERM):
        """End it, and return its status and what it wrote to stderr."""
        self.process.send_signal(number)
        errors = self.process.communicate(timeout=60)[1]
        return self.process.returncode, errors


def test_a_service_that_is_killed_in_the_middle_of_a_request_loses_nothing():
    image, groups = picture(), completions()
    expected = MaskService(read_part("segmenter", "grabcut").build()).cut(image, groups)
    running = [Process(0, "--segmenter", "grabcut")]
    try:
        remote, clock = client(running[0].url)
        assert remote.cut(image, groups) == expected
        running[0].process.send_signal(signal.SIGSTOP)  # it takes the next request and does not answer it
        asking, port = ThreadPoolExecutor(1), running[0].port
        clock.meanwhile = lambda: running.append(Process(port, "--segmenter", "grabcut"))
        answer = asking.submit(remote.cut, image, groups)
        assert running[0].end(signal.SIGKILL)[0] == -signal.SIGKILL
        assert answer.result(120) == expected
        assert len(clock.slept) == 1
        assert remote.counts["images"] == 2  # the second one had never seen it
        assert running[1].end(signal.SIGTERM) == (0, "")
    finally:
        for one in running:
            one.process.kill()


def test_it_says_where_it_is_and_asks_for_the_key_of_the_environment(monkeypatch):
    running = Process(0, "--segmenter", "grabcut", FIDUCIAL_SERVICE_KEY="marker-123456")
    try:
        assert "segmenter grabcut" in running.said
        assert "for who has the key in FIDUCIAL_SERVICE_KEY" in running.said
        monkeypatch.setenv("FIDUCIAL_SERVICE_KEY", "marker-123456")
        assert client(running.url)[0].about()["segmenter"] == {"name": "grabcut"}
        status, errors = running.end(signal.SIGINT)
        assert (status, errors) == (0, "")
        assert "marker" not in running.said
    finally:
        running.process.kill()


def test_a_server_that_is_told_to_stop_answers_what_it_has_taken(monkeypatch):
    from fiducial.client import Client

    image = picture(0, 300, 200)
    running = Process(0, "--recipe", "classic", "--refine", "none", service=(), FIDUCIAL_SERVICE_KEY="marker-123456")
    try:
        assert re.match(r"classic at http://127\.0\.0\.1:\d+, for who has the key in FIDUCIAL", running.said)
        monkeypatch.setenv("FIDUCIAL_SERVICE_KEY", "marker-123456")
        boxes = [Prompts.from_boxes(image.frame, [(x, 9, x + 150, 150)]) for x in range(12)]
        pipe = Client(running.url, patience=0)
        assert pipe(image, "the largest round region").outcome.value in ("found", "no_target")
        with ThreadPoolExecutor(12) as pool:
            taken = [pool.submit(pipe.cut, image, one) for one in boxes]
            inside = 0
            while inside < 6 and not all(one.done() for one in taken):  # by the server's own count
                text = pipe.service.ask("GET", "/metrics").decode()
                inside = int(float(re.search(r"^fiducial_inside (\S+)", text, re.MULTILINE)[1]))
            assert running.end(signal.SIGTERM) == (0, "")
            answered = [one.result(60).masks for one in taken if one.exception(60) is None]
        assert all(len(masks) == 1 for masks in answered)
        assert len(answered) >= inside
    finally:
        running.process.kill()


def test_help_says_which_services_there_are(capsys):
    assert main(["serve", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "fiducial serve reward: the masks of completions" in shown
    assert "--recipe" in shown
    assert main(["serve", "reward", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "usage: fiducial serve reward" in shown
    assert "--store-bytes" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rewards"], "unknown service 'rewards': did you mean 'reward'?"),
        (["reward", "--segmenter", "grabcat"], "did you mean 'grabcut'?"),
        (
            ["reward", "--segmenter", "grabcut", "--host", "0.0.0.0"],
            "set the environment variable FIDUCIAL_SERVICE_KEY",
        ),
        (["reward", "--segmenter", "grabcut", "--device", "cpu"], "'grabcut' runs on no device"),
        (["reward", "--segmenter", "nano", "--set", "segmenter.passes=0"], "needs at least 1"),
        (["reward", "--port", "70000"], "needs at most 65535"),
        (["reward", "--queue", "0"], "needs at least 1"),
        (["--recipe", "nanno"], "did you mean 'nano'?"),
        (["--recipe", "nano", "--recipe", "classic", "--set", "prompter.device=cpu"], "write it into their YAML files"),
        (["--recipe", "nano", "--recipe", "nano"], "the recipe 'nano' is named twice"),
        (["--host", "::"], "set the environment variable FIDUCIAL_SERVICE_KEY"),
        (["--refine", "cfgp", "--recipe", "classic"], "did you mean 'cfpg'?"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_loaded(words, message, capsys, monkeypatch):
    monkeypatch.delenv("FIDUCIAL_SERVICE_KEY", raising=False)
    assert main(["serve", *words]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_options_of_the_segmenter():
    from fiducial.cli import common
    from fiducial.cli.serve import Reward

    words = ["--segmenter", "nano", "--device", "cpu", "--set", "segmenter.passes=1", "--cache", "some/where"]
    options = common.parse(Reward, "serve reward", words).resolved()
    assert (options.segmenter.device, options.segmenter.passes) == ("cpu", 1)
    assert str(options.cache.folder) == "some/where"
