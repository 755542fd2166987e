"""Runs an evaluation in child processes that are killed at random moments until it is done; prints what it saw.

The disk takes a few bytes at a time; a child is killed after so many bytes of it or before so many samples. A seed
draws them, so that nothing here depends on how fast the machine is.
"""

import json
import os
import random
import signal
import sys
from pathlib import Path

from evaluation_fakes import RedPrompter, bench
from fiducial import provenance
from fiducial.evaluation import evaluate
from fiducial.evaluation.record import RecordFile


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class Dribble:
    def __init__(self, file, left):
        self.file, self.left = file, left

    def write(self, data):
        if self.left <= 0:
            die()
        self.left -= 60
        return self.file.write(data[:60])

    def __getattr__(self, name):
        return getattr(self.file, name)


class Mortal(RedPrompter):
    """Dies when it is asked once too often."""

    def __init__(self, left):
        super().__init__()
        self.left = left

    def ask(self, images, instructions):
        self.left -= 1
        if self.left < 0:
            die()
        return super().ask(images, instructions)


def child(out, count, bytes_left, samples_left):
    opened = RecordFile.__init__

    def slowly(self, path):
        opened(self, path)
        self._lines._file = Dribble(self._lines._file, bytes_left)

    RecordFile.__init__ = slowly
    evaluate(bench(count, prompter=Mortal(samples_left)), out)


def main(out, count, kills):
    draw, seen, torn, died = random.Random(5), b"", 0, 0
    path = Path(out) / "samples.jsonl"
    versions = provenance.versions()
    # Asking git and every package takes longer than a child lives.
    provenance.versions, provenance.commit = lambda: versions, lambda: None
    while True:
        limits = (draw.randrange(6000), draw.randrange(8)) if died < kills else (10**9, 10**9)
        process = os.fork()
        if process == 0:
            try:
                child(out, count, *limits)
                os._exit(0)
            finally:
                os._exit(1)
        status = os.waitpid(process, 0)[1]
        written = path.read_bytes() if path.exists() else b""
        assert written.startswith(seen), "a record that was whole has changed"
        seen = written[: written.rfind(b"\n") + 1]
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        died, torn = died + 1, torn + (written != seen)
    print(json.dumps({"kills": died, "torn": torn}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
