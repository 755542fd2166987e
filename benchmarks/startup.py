"""How long importing the package and asking the command line for help take, against an empty interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from recording import median_seconds, record


def main() -> None:
    executable = Path(sys.executable)
    command = executable.with_name("fiducial")
    runs = {
        "python -c pass": [str(executable), "-c", "pass"],
        "import fiducial": [str(executable), "-c", "import fiducial"],
        "import fiducial.geometry": [str(executable), "-c", "import fiducial.geometry"],
        "fiducial --help": [str(command), "--help"],
        "fiducial segment --help": [str(command), "segment", "--help"],
        "fiducial --version": [str(command), "--version"],
    }
    seconds = {
        name: median_seconds(lambda words=words: subprocess.run(words, check=True, capture_output=True), repeats=11)
        for name, words in runs.items()
    }
    empty = seconds["python -c pass"]
    measured = {
        name: {"seconds": round(value, 4), "beyond_an_empty_interpreter": round(value - empty, 4)}
        for name, value in seconds.items()
    }
    record("startup", measured)


if __name__ == "__main__":
    main()
