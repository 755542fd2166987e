"""Runs an evaluation in child processes that are killed at random moments until it is done; prints what it saw.

The disk is slow on purpose and takes a few bytes at a time, so that many kills fall inside the writing of a line.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from evaluation_fakes import RedPrompter, bench
from fiducial.evaluation import evaluate
from fiducial.evaluation.records import RecordFile


class Dribble:
    def __init__(self, file):
        self.file = file

    def write(self, data):
        time.sleep(0.0002)
        return self.file.write(data[:60])

    def __getattr__(self, name):
        return getattr(self.file, name)


def child(out, count, ready):
    opened = RecordFile.__init__

    def slowly(self, path):
        opened(self, path)
        self._file = Dribble(self._file)
        os.write(ready, b"!")

    RecordFile.__init__ = slowly
    evaluate(bench(count, prompter=RedPrompter(pause=0.002)), out)


def main(out, count, kills):
    draw, seen, torn, died = random.Random(5), b"", 0, 0
    path = Path(out) / "samples.jsonl"
    while True:
        begun, ready = os.pipe()
        process = os.fork()
        if process == 0:
            try:
                child(out, count, ready)
                os._exit(0)
            finally:
                os._exit(1)
        os.close(ready)
        if died < kills:
            if died % 5:  # every fifth is killed before it may have begun to write
                os.read(begun, 1)
            time.sleep(draw.uniform(0, 0.06))
            os.kill(process, signal.SIGKILL)
        os.close(begun)
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
