"""What the default recipe costs beside the same networks by torch: cold, warm, on a busy machine, over a folder.

The picture is a drawn sea with ships, enlarged to 1000 x 800. ``torch`` is the way the default ran before: the same
weights, code around them and settings, the networks run by torch. Other baselines are an empty interpreter and
``import torch`` for the cold start, and the recipe ``classic`` for the warm call. All of it is measured in one run, and
the ways take turns; the least of several runs is kept, as whatever else the machine does only adds. Boxes and masks of
both ways are compared on fifty pictures.

    make benchmark-default            # or: GOMP_SPINCOUNT=1000 python benchmarks/default.py
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import skimage.data
from recording import record

import fiducial
from fiducial import Image, Pipeline
from fiducial.datasets import open_dataset
from fiducial.engines import TorchEngine
from fiducial.geometry import Prompt, Prompts

INSTRUCTION = "all ships"
COMMAND = "import sys; sys.argv[0] = 'fiducial'; from fiducial.cli import entry; entry()"


def by_torch() -> Pipeline:
    """Return the default with its networks run by torch."""
    from fiducial.prompters.classic import ClassicPrompter
    from fiducial.prompters.detector import DetectorPrompter
    from fiducial.prompters.grounder.detecting import NanoDetector
    from fiducial.prompters.grounder.network import load_taught
    from fiducial.segmenters.nano import NanoSegmenter
    from fiducial.segmenters.nano_unet import load_network

    prompter = DetectorPrompter(NanoDetector(load_taught()[0].running("cpu")), regions=ClassicPrompter())
    return Pipeline(prompter=prompter, segmenter=NanoSegmenter(TorchEngine(load_network()[0], "cpu")))


TORCH = (
    "import sys\nfrom fiducial import Pipeline\nfrom fiducial.engines import TorchEngine\n"
    f"{inspect.getsource(by_torch)}\nby_torch()(sys.argv[1], sys.argv[2])"
)


STAGES = """
import json, resource, sys, time
stages, before = {}, time.process_time()
def passed(name):
    global before
    now = time.process_time()
    stages[name], before = round(now - before, 3), now
import numpy, cv2
passed("NumPy and OpenCV")
import onnxruntime
passed("onnxruntime")
import fiducial, fiducial.cli.segment, fiducial.prompters.classic, fiducial.prompters.detector, fiducial.results.png
import fiducial.prompters.grounder.detecting, fiducial.segmenters.nano
passed("modules of fiducial")
pipe = fiducial.load("nano", options={"prompter.device": "cpu"})
for engine in (pipe.prompter.detector.grounder.grounder.engine, pipe.segmenter.engine):
    engine.ready()  # which a command does not wait for
passed("weights and graphs")
image = fiducial.images.read_image(sys.argv[1])
image.digest
passed("picture")
fiducial.language.phrases.parse_instruction(sys.argv[2])
passed("grammar")
answer, = pipe.prompter.ask([image], [sys.argv[2]])
passed("looking")
result = pipe.cut(image, answer.prompts)
passed("cutting")
result.save(sys.argv[3])
passed("drawing and writing")
print(json.dumps(stages))
"""


def picture() -> np.ndarray:
    """Return (800, 1000, 3) uint8: a sea with ships."""
    *_, sample = open_dataset("scenes:aerial?count=4&seed=99")
    return np.ascontiguousarray(cv2.resize(sample.image().pixels, (1000, 1000))[:800])


def least(ways: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Run the ways in turn, once to warm up, and return the least seconds of each."""
    seconds = dict.fromkeys(ways, float("inf"))
    for number in range(rounds + 1):
        for name, work in ways.items():
            started = time.perf_counter()
            work()
            if number:
                seconds[name] = min(seconds[name], time.perf_counter() - started)
    return seconds


def process(words: list[str]) -> tuple[float, float, float]:
    """Run a process: its seconds, those of the processor, and its largest memory in MiB."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    child = subprocess.Popen([sys.executable, *words], env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    assert not status, words
    return time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def cold(path: Path, folder: Path, rounds: int = 5) -> dict[str, Any]:
    """Time whole processes."""
    out = str(folder / "out")
    runs = {
        "python -c pass": ["-c", "pass"],
        "import numpy, cv2": ["-c", "import numpy, cv2"],
        "import torch": ["-c", "import torch"],
        "segment by torch": ["-c", TORCH, str(path), INSTRUCTION],
        "fiducial segment": ["-c", COMMAND, "segment", str(path), INSTRUCTION, "--out", out],
        "fiducial cut": ["-c", COMMAND, "cut", str(path), "--box", "100,100,300,200", "--out", out],
    }
    best = dict.fromkeys(runs, (float("inf"),) * 3)
    for _ in range(rounds):
        for name, words in runs.items():
            best[name] = tuple(map(min, best[name], process(words)))  # type: ignore[assignment]
    found = {
        name: {"seconds": round(wall, 3), "of the processor": round(busy, 3), "MiB": round(memory)}
        for name, (wall, busy, memory) in best.items()
    }
    for other in ("import torch", "segment by torch"):
        found[f"fiducial segment over {other}"] = round(best["fiducial segment"][1] / best[other][1], 2)
    return found


def stage_by_stage(path: Path, folder: Path, rounds: int = 5) -> dict[str, float]:
    """Return the least seconds of the processor that each stage of a cold start takes, on one thread."""
    words = [sys.executable, "-c", STAGES, str(path), INSTRUCTION, str(folder / "out")]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["OMP_NUM_THREADS"] = "1"
    runs = []
    for _ in range(rounds):
        done = subprocess.run(words, env=environment, capture_output=True, check=True)
        runs.append(json.loads(done.stdout))
    return {stage: min(run[stage] for run in runs) for stage in runs[0]}


def fresh(pixels: np.ndarray, random: np.random.Generator) -> Image:
    """Return a picture that nobody remembers."""
    changed = pixels.copy()
    changed[0, 0] = random.integers(0, 256, 3)
    return Image(changed)


def warm(pipes: Mapping[str, Pipeline], pixels: np.ndarray, rounds: int = 7) -> dict[str, Any]:
    """Time calls of loaded pipelines on pictures that are not remembered, and a second instruction on the same one."""
    random = np.random.default_rng(0)
    twice = np.concatenate([pixels[:400], pixels[:400, ::-1]])
    seen = {name: Image(pixels.copy()) for name in pipes}
    found: dict[str, Any] = {}
    for title, canvas, words in (
        ("all ships", pixels, "all ships"),
        ("no target", pixels, "all bridges"),
        ("other targets", twice, "all ships"),
    ):
        ways = calls(pipes, lambda canvas=canvas: fresh(canvas, random), words)
        seconds = least(ways, rounds)
        found[title] = {"targets": len(pipes["nano"](Image(canvas), words).masks), **rows(seconds)}
    for pipe, image in zip(pipes.values(), seen.values(), strict=True):
        pipe(image, INSTRUCTION)
    again = {name: lambda pipe=pipe, name=name: pipe(seen[name], "the largest ship") for name, pipe in pipes.items()}
    found["a second instruction on the same picture"] = rows(least(again, rounds))
    classic = fiducial.load("classic")
    found["classic, ms"] = round(1000 * least({"": lambda: classic(fresh(pixels, random), "all regions")}, 2)[""], 1)
    return found


def calls(pipes: Mapping[str, Pipeline], image: Callable[[], Image], words: str) -> dict[str, Callable[[], Any]]:
    """Return a call of each pipeline."""
    return {name: lambda pipe=pipe: pipe(image(), words) for name, pipe in pipes.items()}


def rows(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return milliseconds of both ways and their ratio."""
    ratio = {"nano over torch": round(seconds["nano"] / seconds["torch"], 2)}
    return {f"{name}, ms": round(1000 * value, 1) for name, value in seconds.items()} | ratio


def further(pipe: Pipeline, pixels: np.ndarray, rounds: int = 7) -> dict[str, Any]:
    """Time cutting so many boxes of a picture that is not remembered, and what each further one adds."""
    random = np.random.default_rng(3)

    def cut(count: int) -> None:
        image = fresh(pixels, random)
        corners = random.uniform(0, 600, (count, 2)).tolist()
        boxes = [Prompt(image.frame, box=(x, y, x + 120, y + 90)) for x, y in corners]
        pipe.cut(image, Prompts(image.frame, tuple(boxes)))

    counts = (5, 10, 20)
    seconds = least({str(count): lambda count=count: cut(count) for count in counts}, rounds)
    found = {f"{count} boxes, ms": round(1000 * value, 1) for count, value in seconds.items()}
    return found | {"each further box, ms": round(1000 * (seconds["20"] - seconds["5"]) / 15, 1)}


LARGE = """
import resource, sys, time
import numpy as np
import fiducial
small = fiducial.read_image(sys.argv[1]).pixels
side = int(sys.argv[2])
rows, columns = (-(-side // length) for length in small.shape[:2])
image = fiducial.Image(np.ascontiguousarray(np.tile(small, (rows, columns, 1))[:side, :side]))
pipe = fiducial.load("nano", options={"prompter.device": "cpu"})
started = time.process_time()
result = pipe(image, sys.argv[3])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(time.process_time() - started, peak, len(result.masks))
"""


def large(path: Path) -> list[dict[str, float]]:
    """Time pictures of 1 to 100 megapixels, the same sea again and again, in processes of their own."""
    found = []
    for side in (1000, 3000, 10_000):
        words = [sys.executable, "-c", LARGE, str(path), str(side), INSTRUCTION]
        done = subprocess.run(words, capture_output=True, check=True, text=True)
        seconds, memory, targets = map(float, done.stdout.split())
        megapixels = side**2 / 1e6
        found.append(
            {
                "megapixels": megapixels,
                "targets": int(targets),
                "seconds of the processor": round(seconds, 2),
                "of them for a megapixel": round(seconds / megapixels, 3),
                "MiB": round(memory),
            }
        )
    return found


def busy(pipes: Mapping[str, Pipeline], pixels: np.ndarray) -> dict[str, Any]:
    """Time the warm call while another process takes a core."""
    random = np.random.default_rng(1)
    ways = calls(pipes, lambda: fresh(pixels, random), INSTRUCTION)
    idle = least(ways, 5)
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        loaded = least(ways, 5)
    finally:
        other.kill()
        other.wait()
    return {"idle": rows(idle), "busy": rows(loaded), "busy over idle, nano": round(loaded["nano"] / idle["nano"], 2)}


def many(pipes: Mapping[str, Pipeline], pixels: np.ndarray, count: int = 100) -> dict[str, Any]:
    """Time many pictures one after the other, and from eight threads at once."""
    random = np.random.default_rng(2)
    found: dict[str, Any] = {"pictures": count}
    for name, pipe in pipes.items():
        started = time.perf_counter()
        before = resident()
        for _ in range(count):
            pipe(fresh(pixels, random), INSTRUCTION)
        found[f"{name}, a second"] = round(count / (time.perf_counter() - started), 2)
        found[f"{name}, MiB more after them"] = round(resident() - before)
    pictures = [fresh(pixels, random) for _ in range(count // 4)]
    with ThreadPoolExecutor(8) as pool:
        started = time.perf_counter()
        results = list(pool.map(lambda image: pipes["nano"](image, INSTRUCTION), pictures))
        found["nano, eight threads, a second"] = round(len(pictures) / (time.perf_counter() - started), 2)
    assert len({len(result.masks) for result in results}) == 1
    return found


PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "coins", "camera", "rocket", "page", "text", "moon", "brick")


def pictures() -> Iterator[Image]:
    """Yield fifty pictures: drawn scenes of two kinds, and photographs of scikit-image."""
    for kind in ("aerial", "shapes"):
        yield from (sample.image() for sample in open_dataset(f"scenes:{kind}?count=20&seed=11&size=320"))
    for name in PHOTOGRAPHS:
        yield Image.from_array(np.ascontiguousarray(getattr(skimage.data, name)()[:320, :400]), name=name)


def same(pipes: Mapping[str, Pipeline]) -> dict[str, Any]:
    """Compare the boxes of every name, and the masks of up to three of them and of one in the middle."""
    old = pipes["torch"].prompter.detector  # type: ignore[union-attr]
    new = pipes["nano"].prompter.detector.grounder  # type: ignore[union-attr]  # of the same network, no subject's own
    edges, scores, ious, count, boxes = [0.0], [0.0], [], 0, 0
    names = list(old.vocabulary())
    for image in pictures():
        (before,), (after,) = (one.detect([image], [names]) for one in (old, new))
        assert [one.name for one in before] == [one.name for one in after], image.name
        for one, other in zip(before, after, strict=True):
            edges.append(float(np.abs(np.subtract(one.box, other.box)).max()))
            scores.append(abs(one.score - other.score))
        middle = (image.width / 4, image.height / 4, image.width / 2, image.height / 2)
        asked = [Prompt(image.frame, box=box) for box in (middle, *(one.box for one in before[:3]))]
        masks = [pipe.cut(image, Prompts(image.frame, tuple(asked))).masks for pipe in pipes.values()]
        ious += [one.iou(other) if one or other else 1.0 for one, other in zip(*masks, strict=True)]
        count, boxes = count + 1, boxes + len(before)
    return {
        "pictures": count,
        "boxes": boxes,
        "largest difference of a box's edge, pixels": round(max(edges), 5),
        "largest difference of a score": float(f"{max(scores):.1e}"),
        "masks": len(ious),
        "least IoU of two masks": round(min(ious), 5),
        "mean IoU of two masks": round(float(np.mean(ious)), 5),
    }


def resident() -> float:
    """Return the memory of this process in MiB, where the system tells."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if status.is_file() else 0.0


def installed(extra: str) -> int:
    """Return the MB on the disk of the package with an extra ("": the base install) and all that it needs here."""
    from packaging.requirements import Requirement

    sizes: dict[str, int] = {}
    waiting = [("fiducial", extra)]
    while waiting:
        name, with_extra = waiting.pop()
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        if name in sizes and not with_extra:
            continue
        paths = (Path(str(found.locate_file(path))) for path in found.files or ())
        sizes[name] = sum(path.stat().st_size for path in paths if path.is_file())
        for text in found.requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": with_extra}):
                waiting += [(needed.name.lower(), one) for one in (needed.extras or {""})]
    return round(sum(sizes.values()) / 1e6)


def main() -> None:
    """Measure and write the result."""
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # read where torch is loaded
    pixels = picture()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ships.png"
        PIL.Image.fromarray(pixels).save(path)
        busy_before = os.getloadavg()[0]
        started = cold(path, Path(folder))
        stages = stage_by_stage(path, Path(folder))
        sizes = large(path)
    pipes = {"torch": by_torch(), "nano": fiducial.load("nano", options={"prompter.device": "cpu"})}
    single = fiducial.load("nano", options={"prompter.device": "cpu", "segmenter.bits": 32})
    measured = {
        "load of the machine before": round(busy_before, 1),
        "boxes and masks of both, in single precision": same({"torch": pipes["torch"], "nano": single}),
        "boxes and masks of both": same(pipes),
        "cold start": started,
        "cold start stage by stage, seconds of the processor": stages,
        "warm, 1000 x 800": warm(pipes, pixels),
        "further targets": further(pipes["nano"], pixels),
        "large pictures": sizes,
        "beside a process that takes one core": busy(pipes, pixels),
        "many pictures of 1000 x 800": many(pipes, pixels),
        "installed, MB, without the package's own files": {"base": installed(""), "with models": installed("models")},
    }
    record("default", measured, ("numpy", "onnxruntime", "torch", "opencv-python-headless"))


if __name__ == "__main__":
    main()
