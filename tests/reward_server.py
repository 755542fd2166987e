"""Reward services for tests: the real application and the real HTTP server, in a thread of this process."""

import threading
from contextlib import contextmanager

import numpy as np

from fakes import BoxSegmenter
from fiducial.geometry import Prompt, Prompts
from fiducial.images import Image
from fiducial.remote import Key
from fiducial.rewards import MaskService
from fiducial.rewards.configs import ServiceConfig

WIDTH, HEIGHT = 80, 60


@contextmanager
def serving(segmenter=None, *, key="", port=0, **options):
    """Run a service of a segmenter; it is the MaskService with url, port, app and ``stop()``."""
    from fiducial.server.configs import RewardServerConfig
    from fiducial.server.reward import reward_app
    from fiducial.server.running import Server

    service = MaskService(segmenter or BoxSegmenter())
    config = RewardServerConfig(segmenter="grabcut", port=port, **options)
    service.app = reward_app(service, config, Key(key, ("FIDUCIAL_SERVICE_KEY",), "FIDUCIAL_SERVICE_KEY"))
    server = Server(service.app, config.host, config.port)
    listening = threading.Event()
    thread = threading.Thread(target=server.run, args=(listening.set,), daemon=True)
    thread.start()
    assert listening.wait(60)

    def stop():
        server.stop()
        thread.join()

    service.url, service.port, service.stop = server.url, server.port, stop
    try:
        yield service
    finally:
        stop()


def client(url, **options):
    """Make a client that never sleeps, and its clock."""
    from fiducial.rewards.client import RemoteMaskService

    clock = Clock()
    return RemoteMaskService(ServiceConfig(url=url, **options), sleep=clock.sleep, clock=clock.now), clock


class Clock:
    """Time that passes only by waiting; ``meanwhile`` is called then."""

    def __init__(self):
        self.time, self.slept, self.meanwhile = 0.0, [], lambda: None

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds
        self.slept.append(seconds)
        self.meanwhile()


def picture(seed=0, width=WIDTH, height=HEIGHT):
    return Image(np.random.default_rng(seed).integers(0, 255, (height, width, 3)).astype(np.uint8))


def completions(seed=0, count=6, image=None):
    """Write prompts of completions: boxes, points and both, one completion without any, some alike."""
    image = image or picture()
    rng, frame, found = np.random.default_rng(seed), image.frame, []
    for number in range(count):
        items = []
        for kind in range(number % 3):
            x, y = (float(value) for value in rng.uniform(0, 0.6, 2) * (image.width, image.height))
            box = (x, y, x + image.width / 3, y + image.height / 3) if kind < 2 else None
            points = ((x + 9.5, y + 7.25), (x + 1, y + 1)) if kind or number == 4 else ()
            items.append(Prompt(frame, box, points, (1, 0) if points else (), label="ship", score=0.5))
        found.append(Prompts(frame, tuple(items)))
    return [*found, found[-1]]
