import contextlib
import gc
import json
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from fakes import BoxSegmenter
from fiducial.config import as_plain, read_part
from fiducial.errors import FrameError, InputError, ModelError
from fiducial.geometry import Frame, Mask, Prompts
from fiducial.rewards import MaskService, RewardFunction, truth_column
from fiducial.rewards.client import MOST_SENDINGS
from fiducial.rewards.configs import ServiceConfig
from fiducial.segmenters.configs import NanoConfig
from fiducial.services import ServiceError
from reward_server import HEIGHT, WIDTH, client, completions, picture, serving


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    monkeypatch.delenv("FIDUCIAL_SERVICE_KEY", raising=False)


@pytest.fixture(scope="module")
def service():
    with serving() as running:
        yield running


def local(image, groups, segmenter=None):
    return MaskService(segmenter or BoxSegmenter()).cut(image, groups)


def scores(cuts):
    return [[mask.score for mask in cut] for cut in cuts]


def test_masks_are_those_of_the_service_in_this_process():
    segmenter = NanoConfig(device="cpu").build()
    image, groups = picture(3, 120, 90), completions(3, image=picture(3, 120, 90))
    with serving(segmenter) as running:
        remote, _ = client(running.url)
        found = remote.cut(image, groups)
        expected = local(image, groups, segmenter)
        assert found == expected
        assert scores(found) == scores(expected)
        assert any(mask.area for cut in found for mask in cut)
        assert remote.cut(image, groups) == expected
        assert remote.cut(image, [Prompts(image.frame)] * 2) == [(), ()]
        assert remote.cut(image, []) == []
        assert remote.counts == {"prompts": 2 * sum(map(len, groups)), "images": 1, "failed": 0}
        assert remote.about()["counts"]["encoded"] == 1


def test_a_segmenter_that_fails_spoils_no_other_completion():
    class Picky(BoxSegmenter):
        def decode(self, embedding, prompts):
            if any(prompt.box and prompt.box[0] == 7 for prompt in prompts):
                raise ModelError("not this one")
            return super().decode(embedding, prompts)

    image = picture()
    groups = [Prompts.from_boxes(image.frame, [(left, 1, 30, 30)]) for left in (5, 7, 9)]
    with serving(Picky()) as running:
        remote, clock = client(running.url)
        found = remote.cut(image, groups)
    assert [isinstance(cut, ModelError) for cut in found] == [False, True, False]
    assert str(found[1]) == "not this one"
    assert remote.counts["failed"] == 1
    assert not clock.slept


def test_prompts_of_another_frame_are_refused_before_anything_is_sent(service):
    remote, _ = client("http://127.0.0.1:9")
    with pytest.raises(FrameError, match="the prompts of a completion"):
        remote.cut(picture(), [Prompts.from_boxes(Frame.pixels(8, 8), [(1, 1, 2, 2)])])


def test_it_travels_without_its_connections(service):
    remote = ServiceConfig(url=service.url).build()
    expected = remote.cut(picture(), completions())
    sent = pickle.dumps(remote)
    again = pickle.loads(sent)  # noqa: S301
    assert again.service._connections is None
    assert again.cut(picture(), completions()) == expected
    assert again.config == remote.config
    theirs = remote.service._connections
    theirs.owner = -1  # as in a process that was forked: connections of the other one are left alone
    assert remote.cut(picture(), completions()) == expected
    assert remote.service._connections is not theirs
    assert not theirs._http.is_closed
    theirs.close()
    assert theirs._http.is_closed
    remote.close()
    remote.close()
    assert remote.cut(picture(), completions()) == expected


def test_clients_that_ask_at_once_each_get_their_own(service):
    images = [picture(seed) for seed in (10, 11, 12)]
    tasks = [(images[number % 3], completions(number)) for number in range(12)]
    before = service.counts["encoded"]
    clients = [client(service.url)[0] for _ in range(2)]
    with ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(clients[number % 2].cut, *task) for number, task in enumerate(tasks)]
        assert [one.result(60) for one in waiting] == [local(*task) for task in tasks]
    assert service.counts["encoded"] == before + 3


def test_an_image_that_had_to_go_is_sent_again():
    one, other = picture(0), picture(1)
    with serving(store_bytes=one.pixels.nbytes) as running:
        remote, clock = client(running.url)
        for image in (one, other, one):
            assert remote.cut(image, completions()) == local(image, completions())
    assert remote.counts["images"] == 3
    assert not clock.slept


def test_a_store_that_keeps_nothing_is_an_error_and_no_endless_loop(monkeypatch):
    with serving() as running:
        monkeypatch.setattr(running.app.state.store, "put", lambda *_: None)
        remote, _ = client(running.url)
        with pytest.raises(ServiceError, match="raise --store-bytes there"):
            remote.cut(picture(), completions())
    assert remote.counts["images"] == MOST_SENDINGS


def test_a_service_that_was_stopped_in_between_is_waited_for_and_loses_nothing():
    image, groups = picture(), completions()
    first = serving()
    running = first.__enter__()
    remote, clock = client(running.url)
    before = remote.cut(image, groups)
    first.__exit__(None, None, None)
    second = []

    def start():  # by the second attempt somebody has started it again, its store empty
        if len(clock.slept) == 2:
            second.append(serving(port=running.port))
            second[0].__enter__()

    clock.meanwhile = start
    assert remote.cut(image, groups) == before == local(image, groups)
    assert len(clock.slept) == 2
    assert remote.counts == {"prompts": 2 * sum(map(len, groups)), "failed": 0, "images": 2, "repeated": 2}
    second[0].__exit__(None, None, None)


def test_patience_ends_with_a_clear_error(caplog):
    with serving() as running:
        pass  # nothing listens there any more
    remote, clock = client(running.url, patience=60)
    with pytest.raises(ServiceError, match=r"cannot be reached .* \(asked \d+ times in 60 s: start it again") as raised:
        remote.cut(picture(), completions())
    assert raised.value.for_all
    assert 40 < sum(clock.slept) <= 60
    assert max(clock.slept) <= 10
    assert clock.slept[0] <= 0.5
    assert caplog.text.count("it is asked again for up to 60 s") == 1
    impatient, clock = client(running.url, patience=0)
    with pytest.raises(ServiceError, match="asked 1 times"):
        impatient.cut(picture(), completions())
    assert not clock.slept


def test_the_key_is_sent_and_never_told(monkeypatch):
    with serving(key="marker-123456") as running:
        remote, _ = client(running.url)
        with pytest.raises(ServiceError, match="FIDUCIAL_SERVICE_KEY is not set"):
            remote.cut(picture(), completions())
        monkeypatch.setenv("FIDUCIAL_SERVICE_KEY", "marker-654321")
        with pytest.raises(ServiceError, match="the key of the environment variable") as raised:
            remote.cut(picture(), completions())
        assert "marker" not in str(raised.value)
        monkeypatch.setenv("FIDUCIAL_SERVICE_KEY", "marker-123456")
        assert remote.cut(picture(), completions()) == local(picture(), completions())
        plain = ServiceConfig(url=running.url).build()
        plain.cut(picture(), completions())
        assert b"marker" not in pickle.dumps(plain)
        monkeypatch.setenv("OTHER", "marker-123456")
        monkeypatch.delenv("FIDUCIAL_SERVICE_KEY")
        assert client(running.url, key_variable="OTHER")[0].cut(picture(), completions())


def test_a_key_does_not_travel_in_the_clear(monkeypatch):
    monkeypatch.setenv("FIDUCIAL_SERVICE_KEY", "marker-123456")
    with pytest.raises(InputError, match=r"would travel to gpu.example.invalid in the clear"):
        client("http://gpu.example.invalid:8100")[0].cut(picture(), completions())


class Scripted:
    """A server that answers with what stands in ``script``, and notes what it was asked."""

    def __init__(self, *script):
        self.script, self.asked, self.over = list(script), [], threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.asked.append(self.path)
                status, headers, body = outer.script.pop(0)
                if status in ("head", "body"):  # which never ends
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"Content-Length: 1000\r\n\r\n" * (status == "body"))
                    with contextlib.suppress(OSError):
                        while not outer.over.wait(0.02):
                            self.wfile.write(b" " if status == "body" else b"X-More: yes\r\n")
                    self.close_connection = True
                    return
                if status is None:  # killed in the middle of its answer
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.http.shutdown()
        self.http.server_close()


EMPTY = json.dumps({"completions": [{"masks": [{**Mask.empty(HEIGHT, WIDTH).to_coco(), "score": None}]}]}).encode()
ONE = [Prompts.from_boxes(Frame.pixels(WIDTH, HEIGHT), [(1, 1, 5, 5)])]


@pytest.mark.parametrize(
    ("first", "least"),
    [
        ((429, {"Retry-After": "7"}, b""), 7),
        ((503, {"Retry-After": "3600"}, b""), 10),
        ((503, {"Retry-After": "soon"}, b""), 0.25),
        ((502, {}, b"<html>a proxy</html>"), 0.25),
        ((None, {}, b""), 0.25),
    ],
)
def test_what_passes_is_asked_again_as_late_as_the_service_says(first, least):
    with Scripted(first, (200, {}, EMPTY)) as server:
        remote, clock = client(server.url)
        assert remote.cut(picture(), ONE) == [(Mask.empty(HEIGHT, WIDTH),)]
        assert len(set(server.asked)) == 1
        assert len(server.asked) == 2
    assert len(clock.slept) == 1
    assert least <= clock.slept[0] <= 10


@pytest.mark.parametrize("part", ["head", "body"])
def test_an_answer_that_drips_is_given_up_and_asked_for_again(part):
    with Scripted((part, {}, b""), (200, {}, EMPTY)) as server:
        remote, clock = client(server.url, timeout=0.2)

        def patient():  # where the machine is busy, the first request may be given up before it reaches the server
            if server.asked:
                remote.service.place = replace(remote.service.place, timeout=60)

        clock.meanwhile = patient
        assert remote.cut(picture(), ONE) == [(Mask.empty(HEIGHT, WIDTH),)]
        assert len(server.asked) == 2
        server.script = [(part, {}, b"")]
        impatient, _ = client(server.url, timeout=0.2, patience=0)
        with pytest.raises(ServiceError, match=r"gave no whole answer in 0\.2 s"):
            impatient.cut(picture(), ONE)


def test_its_thread_ends_with_it():
    with serving() as running:
        remote, _ = client(running.url)
        remote.cut(picture(), ONE)
        thread = next(one for one in threading.enumerate() if one.name == "fiducial service")
        del remote
        gc.collect()
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, {}, b"<html>"), "answered what makes no sense: the answer: not valid JSON"),
        ((200, {}, b'{"completions": []}'), "0 entries for 1 completions"),
        ((404, {}, b"<html>"), "answered 404 .is it a reward service"),
        ((302, {"Location": "http://evil.example"}, b""), "answered 302"),
        ((413, {}, b'{"detail": "raise --max-bytes"}'), "answered 413: raise --max-bytes"),
        ((500, {}, b'{"detail": "a\\u001b[31mb"}'), r"answered 500: a \[31mb"),
    ],
)
def test_what_does_not_pass_is_an_error_at_once(answer, words):
    with Scripted(answer) as server:
        remote, clock = client(server.url)
        with pytest.raises(ServiceError, match=words):
            remote.cut(picture(), ONE)
        assert len(server.asked) == 1
    assert not clock.slept


def test_answers_are_read_up_to_a_limit(monkeypatch):
    monkeypatch.setattr("fiducial.services.MAX_ANSWER_BYTES", 100)
    with Scripted((200, {}, b"x" * 200)) as server, pytest.raises(ServiceError, match="more than 100 bytes"):
        client(server.url)[0].cut(picture(), ONE)


# -- as a reward ------------------------------------------------------------------------------------------

SHIP = Mask.from_box((10, 10, 40, 40), HEIGHT, WIDTH)


def reply(*box):
    x1, y1, x2, y2 = (round(value * side) for value, side in zip(box, (10.5, 14, 10.5, 14), strict=True))
    row = {"bbox_2d": [x1, y1, x2, y2], "positive_points": [[x1 + 9, y1 + 9], [x1 + 20, y1 + 20]]}
    return f"<think>so</think><answer>```json\n{json.dumps([row])}\n```</answer>"


def test_a_reward_takes_a_service_by_its_url_and_gives_the_same():
    replies = [reply(10, 10, 40, 40), reply(12, 14, 44, 36), "no idea", reply(0, 0, 80, 60)] * 3
    images = [image for seed in range(3) for image in [picture(seed)] * 4]
    columns = {"image": images, "truth": [truth_column([SHIP])] * 12}
    segmenter = read_part("segmenter", "grabcut").build()
    with serving(segmenter) as running:
        function = RewardFunction(f"think2seg?service={running.url}")
        totals = function(["the ship"] * 12, replies, **columns)
        assert totals == RewardFunction("think2seg?segmenter=grabcut")(["the ship"] * 12, replies, **columns)
        assert len(set(totals)) > 3
        again = pickle.loads(pickle.dumps(function))  # noqa: S301
        assert again(["the ship"] * 12, replies, **columns) == totals
        assert function.scorer.service.counts["prompts"] == 9
        assert running.counts["encoded"] == 3


def test_the_description_of_a_service():
    described = read_part("reward", {"name": "mask-only", "service": {"url": "http://Gpu:8100/", "patience": 5}})
    assert described.service == ServiceConfig(url="http://Gpu:8100/", patience=5)
    assert as_plain(described)["service"]["concurrency"] == 8
    assert read_part("reward", "think2seg?service=none").service is None
    assert read_part("reward", "think2seg").with_settings({"service": "http://a:1"}).service.url == "http://a:1"
    with pytest.raises(InputError, match="the reward service's url needs to be http://HOST:PORT"):
        read_part("reward", "think2seg?service=gpu:8100")
    with pytest.raises(InputError, match="FIDUCIAL_SERVICE_KEY"):
        read_part("reward", "think2seg?service=http://me:secret@gpu:8100")
    with pytest.raises(InputError, match="fiducial serve reward --cache DIR"):
        read_part("reward", {"name": "think2seg", "service": "http://a:1", "cache": "somewhere"})
