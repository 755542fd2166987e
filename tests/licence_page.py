"""``python tests/licence_page.py > docs/licences.md``: what is installed with fiducial, and under which licence.

Licences are those that the installed packages state of themselves, as SPDX expressions; what ``STATED`` says stands in
for packages that state none, or in words that nobody else uses.
"""

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pages import ROOT

SPDX = {
    **{"Apache Software License": "Apache-2.0", "Apache": "Apache-2.0", "Apache 2.0": "Apache-2.0"},
    **{"Apache 2.0 License": "Apache-2.0", "Apache-2.0": "Apache-2.0"},
    **{
        "MIT License": "MIT",
        "MIT": "MIT",
        "ISC License (ISCL)": "ISC",
        "Python Software Foundation License": "PSF-2.0",
    },
    **{"BSD License": "BSD", "BSD": "BSD", "BSD-3-Clause": "BSD-3-Clause", "BSD-2-Clause": "BSD-2-Clause"},
    **{"BSD 3-Clause License": "BSD-3-Clause", "BSD 2-Clause License": "BSD-2-Clause", "New BSD": "BSD-3-Clause"},
    **{"3-Clause BSD License": "BSD-3-Clause", "FreeBSD": "BSD-2-Clause", "MPL-2.0 AND MIT": "MPL-2.0 AND MIT"},
    **{"Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0"},
}
STATED = {
    "docutils": "public domain, BSD; an Emacs mode GPL-3.0",
    "imagecodecs": "BSD-3-Clause",
    "pi-heif": "BSD-3-Clause; bundles libheif, LGPL-3.0",
    "torchao": "BSD-3-Clause",
}
COPYLEFT = re.compile(r"\b(L?GPL|MPL|EPL|AGPL|CDDL)\b")
INSIDE = (
    ("numpy, scipy, opencv-python-headless", "libgfortran and libquadmath of GCC", "GPL-3.0 with GCC's exception"),
    ("opencv-python-headless", "FFmpeg's libraries", "LGPL-2.1"),
    ("shapely, rasterio", "GEOS", "LGPL-2.1"),
    ("pi-heif", "libheif, libde265", "LGPL-3.0"),
    ("av", "FFmpeg with x264 and x265", "GPL-2.0"),
)
HEAD = """# Licences of what comes with it

Made by `python tests/licence_page.py`; do not edit.

fiducial is Apache-2.0. Its package holds its own code and [its own weights](results/nano.md), which are for research
and non-commercial use; everything below is installed beside it by pip and keeps its own licence. All of it can be used
together with Apache-2.0 code. Checkpoints that recipes load have licences of their own: `fiducial models`.

## What asks something in return

Using these asks nothing. Passing them on, in an image of a container or an installer, asks for their text and, of a
changed file, its source (MPL, LGPL); what holds GPL asks it of the whole that is passed on, and lies in one optional
extra alone.

"""
WHEELS = """
Wheels hold libraries that their package's licence does not name (seen in the wheels for Linux):

| wheel | holds | licence |
|---|---|---|
"""
WHY = """
`av` comes with `supervision` alone, whose extra nothing else of fiducial needs: leave it out of what you pass on.
HEIC is read by `pi-heif`, which is `pillow-heif` without x265.
"""


def pinned():
    """Return the packages of constraints.txt with their versions, by canonical name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {
        canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines) if version
    }


def licence(name):
    """Return the licence that an installed package states, or None where it is not installed."""
    if name in STATED:
        return STATED[name]
    try:
        about = distribution(name).metadata
    except PackageNotFoundError:
        return None
    classified = [line.rpartition(" :: ")[2] for line in about.get_all("Classifier", []) if line.startswith("License")]
    words = [about["License-Expression"], *classified, (about["License"] or "").partition("\n")[0]]
    known = [SPDX.get(word, word if word == about["License-Expression"] else None) for word in words if word]
    precise = [one for one in known if one and one != "BSD"] or [one for one in known if one]
    return precise[0] if precise else "not stated"


def closure(requirements):
    """Return the canonical names of packages that are installed with some requirements."""
    found, waiting = set(), [Requirement(text) for text in requirements]
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        extras = one.extras or {""}
        if (name, *extras) in found or name == "fiducial":
            continue
        found.add((name, *extras))
        try:
            needed = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        for inner in map(Requirement, needed):
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in {*extras, ""}):
                waiting.append(inner)
    return {name for name, *_ in found}


def comes_with():
    """Return for each package the extras that bring it: "" stands for every installation."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]

    def flat(requirements):
        for text in requirements:
            one = Requirement(text)
            if one.name == "fiducial":
                for extra in one.extras:
                    yield from flat(extras[extra])
            else:
                yield text

    found = {}
    for extra, requirements in {"": project["dependencies"], **extras}.items():
        for name in closure(flat(requirements)):
            found.setdefault(name, []).append(extra)
    return found


def _where(extras):
    if "" in extras:
        return "every installation"
    named = [extra for extra in extras if extra not in ("dev", "docs")]
    return ", ".join(f"`{extra}`" for extra in named) or "development alone"


def rows():
    """Return name, licence and origin of every package that is pinned."""
    origin = comes_with()
    return [(name, licence(name), _where(origin.get(name, []))) for name in sorted(pinned())]


def licence_page():
    """Write the page."""
    found = rows()
    line = "| {} | {} | {} |".format
    asking = "\n".join(line(*row) for row in found if COPYLEFT.search(row[1]))
    head = "| package | licence | comes with |\n|---|---|---|\n"
    inside = "\n".join(line(*row) for row in INSIDE)
    every = "\n".join(line(*row) for row in found)
    return f"{HEAD}{head}{asking}\n{WHEELS}{inside}\n{WHY}\n## Everything\n\n{head}{every}\n"


if __name__ == "__main__":
    sys.stdout.write(licence_page())
