"""Streams of pictures against a real server."""

import threading

import numpy as np

from fakes import BoxSegmenter
from fiducial import Pipeline


def test_several_pictures_are_asked_for_at_once_and_keep_their_order(server, make, written):
    arrived = threading.Barrier(4, timeout=60)

    def reply(asked):
        arrived.wait()  # none is answered before four are here
        return written(f"[[0.0, 0.0, 0.{int(asked.picture[0, 0, 0])}, 0.5]]")

    server.reply = reply
    shades = range(10, 22)
    pipe = Pipeline(prompter=make(dialect="sjtu", concurrency=4, timeout=60.0), segmenter=BoxSegmenter())
    results = pipe.stream((np.full((100, 100, 3), shade, np.uint8) for shade in shades), "the ship")
    assert [round(result.prompts[0].box[2]) for result in results] == list(shades)
    assert server.peak == 4


def test_a_server_that_is_not_there_fails_every_picture_and_ends_the_stream(make, waited):
    prompter = make(dialect="sjtu", concurrency=2, url="http://127.0.0.1:1/v1")
    pipe = Pipeline(prompter=prompter, segmenter=BoxSegmenter())
    shades = (np.full((50, 50, 3), shade, np.uint8) for shade in range(5))
    assert [result.outcome.value for result in pipe.stream(shades, "the ship")] == ["failed"] * 5
