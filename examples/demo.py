"""Segment drawn scenes, photographs of scikit-image, and a made scan, by instruction, with the default recipe.

Writes demo.png, one sheet of all pictures to look at, one overlay and one JSON file per instruction; in volume/ the
scan with its label map, its table and its page; in map/ a made map with the outlines of what was found, and map.png,
which shows both.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import PIL.ImageOps

import fiducial
from fiducial import Segmentation
from fiducial.overlays import BoxOverlay, MaskOverlay, palette_colour
from fiducial.rasters import Raster, RasterOptions, make_map, segment_raster
from fiducial.synthetic.samples import SAMPLES
from fiducial.volumes import VolumeOptions, make_phantom, segment_volume

SHOWN = ("ships.png", "airplanes.png", "tanks.png", "phantom.png", "coins.png", "rocket.png")
"""Which of the sample pictures are shown."""
SCAN = "the brightest region"
MAP = "airplanes within 120 m of the northernmost airplane"
PANEL = (480, 400)
CAPTION = 40


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for the pictures")
    parser.add_argument("--recipe", default="nano", help="the recipe to run")
    arguments = parser.parse_args()
    pipe = fiducial.load(arguments.recipe)
    panels = []
    for number, sample in enumerate((one for one in SAMPLES if one.name in SHOWN), start=1):
        image, instruction = sample.image(), sample.instruction
        result = pipe(image, instruction)
        files = result.save(arguments.out, formats=["png", "json"], stem=f"{number}-{Path(image.name).stem}")
        print(f"{image.name}: {instruction!r} -> {result.outcome.value}, {len(result.masks)} masks")
        print(f"  {result.text}\n  {files['png']}, {files['json'].name}")
        panels.append(panel(result))
    sheet = np.concatenate([np.concatenate(panels[start : start + 3], axis=1) for start in (0, 3)])
    PIL.Image.fromarray(sheet).save(arguments.out / "demo.png", optimize=True)
    scan(pipe, arguments.out / "volume")
    chart(pipe, arguments.out / "map")
    looks = ("demo.png", "map/map.png", "volume/page.html")
    print(f"look at {', '.join(str(arguments.out / look) for look in looks)}")


def scan(pipe: fiducial.Pipeline, folder: Path) -> None:
    """Segment some slices of a phantom, a made torso on an oblique grid, and say what lies where in the patient."""
    volume = make_phantom(modality="MR", spacing=(2.5, 2.5, 10.0), axes="LPS", rotation=(0, 0, 8)).volume
    volume.write(folder / "scan.nii.gz")
    result = segment_volume(pipe, volume, SCAN, VolumeOptions(slices=(17, 20)), out=folder)
    print(f"{volume.name}: {SCAN!r} -> {result.outcome.value}\n  {result.text}")


def chart(pipe: fiducial.Pipeline, folder: Path) -> None:
    """Segment a made map of windows, and draw the outlines by their coordinates over it, with a bar of 100 m."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "map.tif"
    make_map(path, (1400, 900), seed=5, scenes=4)
    result = segment_raster(pipe, path, MAP, RasterOptions(tile=640, tile_overlap=160), out=folder)
    print(f"{path.name}: {MAP!r} -> {result.outcome.value}\n  {result.text}")
    with Raster.open(path) as raster:
        picture = PIL.Image.fromarray(raster.read(0, 0, raster.width, raster.height)[0])
        back = ~raster.affine
    draw, font = PIL.ImageDraw.Draw(picture), PIL.ImageFont.load_default(20)
    for number, outline in enumerate(result.table.geometry):
        for part in outline.geoms:
            draw.polygon([back @ corner for corner in part.exterior.coords], outline=palette_colour(number), width=3)
        draw.text(back @ (outline.bounds[0], outline.bounds[3]), str(number + 1), fill="white", font=font, anchor="rb")
    metres, y = round(100 / result.ground.pixel[0]), picture.height - 24
    draw.line([(24, y), (24 + metres, y)], fill="white", width=5)
    draw.text((24 + metres / 2, y - 6), "100 m", fill="white", font=font, anchor="mb")
    whole = PIL.Image.new("RGB", (picture.width, picture.height + CAPTION), "white")
    whole.paste(picture, (0, 0))
    place = (whole.width / 2, picture.height + CAPTION / 2)
    PIL.ImageDraw.Draw(whole).text(place, f'"{MAP}"', fill="black", font=font, anchor="mm")
    whole.save(folder / "map.png", optimize=True)


def panel(result: Segmentation) -> np.ndarray:
    """Draw one result with its instruction below, at the size of a panel."""
    drawn = BoxOverlay(result.prompts)(MaskOverlay(result.masks)(result.image))
    picture = PIL.ImageOps.pad(PIL.Image.fromarray(drawn.pixels), PANEL, color="white", centering=(0.5, 1))
    whole = PIL.Image.new("RGB", (PANEL[0] + 8, PANEL[1] + CAPTION), "white")
    whole.paste(picture, (4, 4))
    font = PIL.ImageFont.load_default(20)
    place = (whole.width / 2, PANEL[1] + CAPTION / 2 + 2)
    PIL.ImageDraw.Draw(whole).text(place, f'"{result.instruction}"', fill="black", font=font, anchor="mm")
    return np.asarray(whole)


if __name__ == "__main__":
    main()
