"""How fast a benchmark of spatial questions is built: questions a second after loading, and pictures a second apart.

    python benchmarks/misground.py [VOLUME ...]

Volumes are named as for ``fiducial misground build``; without any, made phantoms. Seconds are those of the processor,
so that other work on the machine counts little.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from recording import record

from fiducial.misground.building import BuildConfig, questions_of
from fiducial.misground.pictures import Painter
from fiducial.misground.sources import PhantomConfig, SourceConfig, read_sources

QUESTIONS = 1000
PICTURES = 200
WANTED = 500
PHANTOMS = (
    PhantomConfig(spacing=(3.0, 3.0, 3.0)),
    PhantomConfig(spacing=(1.5, 1.5, 2.5), axes="LPS"),
    PhantomConfig(modality="MR", spacing=(3.0, 3.0, 3.0), axes="PIR", rotation=(9.0, -6.0, 12.0)),
)


def measure(described: SourceConfig | PhantomConfig) -> dict[str, Any]:
    """Measure one volume."""
    source = described.open()
    questions_of(source, BuildConfig(per_volume=20))  # imports
    started, clock = time.process_time(), time.perf_counter()
    questions, made = questions_of(source, BuildConfig(per_volume=QUESTIONS))
    spent, passed = time.process_time() - started, time.perf_counter() - clock
    painter = Painter(questions.anatomy, source.volume.window(), BuildConfig().size)
    pictures = list(dict.fromkeys(picture for _, several in made for picture in several))
    some = pictures[:PICTURES]
    started = time.process_time()
    for picture in some:
        painter.paint(picture)
    painted = time.process_time() - started
    return {
        "volume": source.name,
        "shape": list(source.volume.shape),
        "structures": len(questions.anatomy.known),
        "questions": len(made),
        "pictures_needed": len(pictures),
        "seconds_of_processor": round(spent, 3),
        "questions_per_second": round(len(made) / spent, 1),
        "questions_per_second_of_wall_clock": round(len(made) / passed, 1),
        "pictures_painted_per_second": round(len(some) / painted, 1),
        "dropped": dict(questions.dropped),
    }


def main() -> None:
    described = read_sources(sys.argv[1:]) if len(sys.argv) > 1 else list(PHANTOMS)
    measured = [measure(one) for one in described]
    slowest = min(one["questions_per_second"] for one in measured)
    record(
        "misground",
        {"volumes": measured, "slowest_questions_per_second": slowest, "wanted": WANTED},
        ("numpy", "scipy"),
    )


if __name__ == "__main__":
    main()
