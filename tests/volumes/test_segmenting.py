import json

import numpy as np
import pytest

from fiducial.errors import InputError, ModelError
from fiducial.geometry import Mask, Prompt, Prompts
from fiducial.language import Answer, Outcome
from fiducial.pipeline import Pipeline
from fiducial.prompters.detector import Detection, DetectorPrompter, Reading
from fiducial.volumes import LabelMap, Volume, VolumeOptions, make_phantom, segment_volume
from fiducial.volumes.affines import make_affine, read_axes
from fiducial.volumes.linking import Piece, gaps, link, merged
from fiducial.volumes.regions import Region
from fiducial.volumes.sides import find_midline, side_of
from fiducial.volumes.viewing import Viewer
from fiducial.volumes.windows import CT_WINDOWS

BRIGHT = 200


class Threshold:
    """Finds every connected part that is bright, and cuts what is bright in a box: a prompter and a segmenter."""

    def __init__(self, blind=(), fails=False):
        self.blind, self.fails = set(blind), fails
        self.asked, self.words, self.boxes = [], [], []

    def ask(self, images, instructions):
        answers = []
        for image, text in zip(images, instructions, strict=True):
            index = int(image.name.rsplit("-", 1)[1])
            self.asked.append(index)
            self.words.append(text)
            if self.fails:
                raise ModelError("no memory")
            parts = [] if index in self.blind else bright(image).components()
            prompts = Prompts(image.frame, tuple(Prompt(image.frame, box=part.box, label="tumour") for part in parts))
            answers.append(Answer(Outcome.FOUND if parts else Outcome.NO_TARGET, prompts))
        return answers

    def encode(self, image):
        return image

    def decode(self, image, prompts):
        self.boxes += [prompt.box for prompt in prompts]
        boxes = [Mask.from_box(prompt.box, image.height, image.width) for prompt in prompts]
        return [bright(image).intersection(box) for box in boxes]


def bright(image):
    return Mask.from_dense(image.pixels[..., 0] > BRIGHT)


def scan(*blocks, shape=(40, 30, 12), axes="RAS", spacing=(2.0, 2.0, 2.0)):
    """Return a scan with bright blocks in a grey body; blocks are slices of RAS+ voxel indices."""
    ras = np.full(shape, 100, np.int16)
    ras[:4], ras[-4:] = 0, 0
    for block in blocks:
        ras[block] = 1000
    order = [axis for axis, _ in read_axes(axes)]
    sizes = [shape[axis] for axis in order]
    grid = make_affine(sizes, [spacing[axis] for axis in order], axes)
    stored = LabelMap(ras, make_affine(shape, spacing)).on_grid_of(Volume(np.zeros(sizes), grid))
    return Volume(stored.array, grid, "MR", "scan")


RIGHT = np.s_[28:34, 10:16, 2:8]
LEFT = np.s_[6:12, 10:14, 4:9]


def run(volume, text="the tumour", parts=None, out=None, **options):
    parts = parts or Threshold()
    pipeline = Pipeline(prompter=parts, segmenter=parts, name="threshold")
    return segment_volume(pipeline, volume, text, VolumeOptions(window="0,1000", **options), out=out)


@pytest.mark.parametrize("axes", ["RAS", "LPS", "SLA"])
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_blocks_are_found_where_they_are_in_every_plane(plane, axes):
    result = run(scan(RIGHT, LEFT, axes=axes), plane=plane)
    assert result.outcome is Outcome.FOUND
    assert [row["side"] for row in result.table] == ["right", "left"]
    first, second = result.label_map.regions[1], result.label_map.regions[2]
    assert (first.name, second.name) == ("tumour 1", "tumour 2")
    assert first.voxels == 6 * 6 * 6
    assert second.voxels == 6 * 4 * 5
    np.testing.assert_allclose(first.centroid, (22.0, -4.0, -2.0), atol=1e-9)
    np.testing.assert_allclose(first.extent, (12, 12, 12), atol=1e-9)
    assert result.table[0]["volume_ml"] == pytest.approx(216 * 8 / 1000)
    assert "on the patient's right" in result.text
    assert "Left and right are the patient's." in result.text


def test_places_and_orders_choose_in_the_volume():
    volume = scan(RIGHT, LEFT)
    parts = Threshold()
    assert [row["side"] for row in run(volume, "the leftmost tumour", parts).table] == ["left"]
    assert set(parts.words) == {"every tumour"}
    assert [row["side"] for row in run(volume, "the most inferior tumour").table] == ["right"]
    assert [row["side"] for row in run(volume, "the most medial tumour").table] == ["right"]
    assert [row["side"] for row in run(volume, "the two most superior tumours").table] == ["left", "right"]
    assert [row["side"] for row in run(volume, "the tumour on the left", plane="sagittal").table] == ["left"]
    assert [row["side"] for row in run(volume, "the smallest tumour").table] == ["left"]
    smaller = run(volume, "the smallest tumour")
    assert "1 of the 2 things found in the volume kept" in smaller.notes
    asked = Threshold()
    run(volume, "the left tumour", asked)
    assert set(asked.words) == {"the tumour in the right half of the picture"}


def test_gaps_are_cut_by_the_box_of_the_neighbouring_slice():
    volume = scan(RIGHT)
    parts = Threshold(blind=[4, 5])
    result = run(volume, parts=parts)
    assert [(row["slices"], row["asked"], row["voxels"]) for row in result.table] == [(6, 4, 216)]
    assert "2 masks were cut by the box of the neighbouring slice" in result.notes
    apart = run(volume, parts=Threshold(blind=[4, 5]), propagate="none")
    assert [(row["first_slice"], row["last_slice"]) for row in apart.table] == [(2, 3), (6, 7)]
    far = run(volume, parts=Threshold(blind=[4, 5]), reach=1)
    assert len(far.table) == 2
    ends = run(volume, parts=Threshold(blind=[2, 6, 7]), propagate="ends")
    assert [(row["first_slice"], row["last_slice"], row["asked"]) for row in ends.table] == [(2, 7, 3)]


def test_a_cut_that_does_not_agree_with_its_neighbour_is_not_kept():
    volume = scan(RIGHT, np.s_[28:34, 10:16, 9:10])
    array = np.array(volume.array)
    array[28:34, 10:16, 5] = 100
    array[28:30, 10:12, 5] = 1000  # a ninth of what its neighbours show
    result = run(Volume(array, volume.affine, "MR", "scan"), parts=Threshold(blind=[5]))
    assert [(row["first_slice"], row["last_slice"]) for row in result.table] == [(2, 4), (6, 7)]


def test_what_is_seen_in_one_slice_is_dropped_and_said():
    volume = scan(RIGHT, np.s_[8:12, 10:14, 5:6])
    result = run(volume)
    assert len(result.table) == 1
    assert any(
        note.startswith("dropped one thing seen in fewer than 2 slices (--least-slices), the largest of 16 pixels")
        for note in result.notes
    )
    assert len(run(volume, least_slices=1).table) == 2
    assert len(run(volume, slices=(5, 5)).table) == 2  # one slice was asked about at all


def test_work_that_was_stopped_goes_on(tmp_path):
    volume = scan(RIGHT, LEFT)

    class StoppedError(Exception):
        pass

    def stop(found, number, count):
        if number == 5:
            raise StoppedError

    parts = Threshold()
    pipeline = Pipeline(prompter=parts, segmenter=parts, name="threshold")
    options = VolumeOptions(window="0,1000")
    with pytest.raises(StoppedError):
        segment_volume(pipeline, volume, "the tumour", options, out=tmp_path, on_slice=stop)
    with open(tmp_path / "slices.jsonl", "ab") as file:
        file.write(b'{"index":5,"outc')  # a line that was cut off
    assert parts.asked == [0, 1, 2, 3, 4]
    result = segment_volume(pipeline, volume, "the tumour", options, out=tmp_path)
    assert parts.asked == [*range(12)]
    whole = run(volume)
    assert np.array_equal(result.label_map.array, whole.label_map.array)
    assert result.table == whole.table
    later = segment_volume(pipeline, volume, "the tumour", VolumeOptions(window="0,1000", least_slices=6), out=tmp_path)
    assert parts.asked == [*range(12)]  # how slices are linked may change without asking again
    assert len(later.table) == 1
    with pytest.raises(InputError, match=r"holds other work \(another instruction\): give this one a folder"):
        segment_volume(pipeline, volume, "the cyst", options, out=tmp_path)
    with pytest.raises(InputError, match="another volume"):
        segment_volume(pipeline, scan(LEFT), "the tumour", options, out=tmp_path)


def test_weights_that_were_replaced_are_noticed(tmp_path):
    weights, out = tmp_path / "w.safetensors", tmp_path / "out"
    weights.write_bytes(b"1")
    recipe = {"segmenter": {"name": "nano", "model": str(weights)}}
    parts = Threshold()
    pipeline = Pipeline(prompter=parts, segmenter=parts, name="threshold")
    for _ in range(2):
        segment_volume(pipeline, scan(RIGHT), "the tumour", VolumeOptions(), out=out, recipe=recipe)
    weights.write_bytes(b"2")
    with pytest.raises(InputError, match=r"recipe\.segmenter\.model: the contents of \S+w\.safetensors changed"):
        segment_volume(pipeline, scan(RIGHT), "the tumour", VolumeOptions(), out=out, recipe=recipe)


def test_slices_that_failed_are_asked_again(tmp_path):
    volume = scan(RIGHT)
    failed = run(volume, parts=Threshold(fails=True), out=tmp_path)
    assert failed.outcome is Outcome.FAILED
    assert failed.text == "Nothing was found in 12 axial slices."
    assert "12 of 12 slices ended failed; slice 0: no memory" in failed.notes
    assert len(run(volume, out=tmp_path).table) == 1


def test_files(tmp_path):
    result = run(scan(RIGHT, LEFT), "the tumour <b>", out=tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "labels.nii.gz",
        "labels.json",
        "table.csv",
        "result.json",
        "page.html",
        "slices.jsonl",
        "run.json",
    }
    found = LabelMap.read(tmp_path / "labels.nii.gz")
    assert np.array_equal(found.array, result.label_map.array)
    assert found.names == {1: "tumour 1", 2: "tumour 2"}
    values = json.loads((tmp_path / "result.json").read_text("utf-8"))
    assert values["table"] == [*result.table]
    assert values["view"] == "axial, radiological view: patient left at the right, posterior at the bottom"
    table = (tmp_path / "table.csv").read_text("utf-8").splitlines()
    assert len(table) == 3
    assert table[1].startswith("1,tumour 1,right,1.728,216,22.0,-4.0,-2.0,12.0,12.0,12.0,2,7,6,6,")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "the tumour &lt;b&gt;" in page
    assert "<b>the" not in page
    assert page.count("data:image/png") == 7 + 2  # slices 2 to 8, and two other planes
    assert '<b class="left">R</b><b class="right">L</b>' in page
    shown = result._repr_html_()  # in a notebook, which keeps every picture
    assert "<b>the tumour &lt;b&gt;</b>" in shown
    assert shown.count("data:image/png") == 3
    assert "the patient's R at the left" in shown


def test_pictures_have_square_pixels_and_masks_come_back():
    volume = scan(RIGHT, spacing=(2.0, 2.0, 6.0))
    viewer = Viewer(volume, volume.slicing("coronal"), (0.0, 1000.0))
    picture = viewer.picture(12)
    assert (picture.width, picture.height) == (40, 36)
    mask = viewer.to_slice(bright(picture))
    assert np.array_equal(mask.to_dense(), viewer.slicing.slice(volume.array, 12) > 500)
    shown = viewer.box_prompt(mask, "tumour")[0].box
    assert shown == pytest.approx((5.7, 11.1, 12.3, 30.9), abs=0.01)
    result = run(volume, plane="coronal")
    assert result.label_map.regions[1].voxels == 216


def test_other_scans_are_shown_as_red_and_blue(tmp_path):
    volume = scan(RIGHT)
    other = Volume(np.array(volume.array[::-1]), volume.affine, "MR", "other")
    other.write(tmp_path / "other.nii.gz")
    seen = []

    class Seeing(Threshold):
        def ask(self, images, instructions):
            seen.extend(images)
            return super().ask(images, instructions)

    run(volume, parts=Seeing(), around=(tmp_path / "other.nii.gz",), slices=(3, 3))
    slicing, window = volume.slicing(), other.window()
    red, green, blue = np.moveaxis(seen[0].pixels, 2, 0)
    assert np.array_equal(green, volume.picture(slicing, 3, (0.0, 1000.0)).pixels[..., 0])
    assert np.array_equal(red, other.picture(slicing, 3, window).pixels[..., 0])
    assert np.array_equal(red, blue)
    make_phantom(spacing=(40, 40, 40)).volume.write(tmp_path / "elsewhere.nii.gz")
    with pytest.raises(InputError, match="colours need scans on one grid"):
        run(volume, around=(tmp_path / "elsewhere.nii.gz",))


def test_slices_of_one_grey_are_not_asked_about():
    parts = Threshold()
    array = np.array(scan(RIGHT).array)
    array[:, :, :2] = 0
    result = run(Volume(array, make_affine(array.shape, (2, 2, 2)), "MR", "scan"), parts=parts)
    assert parts.asked == [*range(2, 12)]
    assert result.slices[0].text == "not asked: the slice shows one grey alone"


def test_what_cannot_be_done_is_refused():
    volume = scan(RIGHT)
    with pytest.raises(InputError, match="there are 12 axial slices, 0 to 11"):
        run(volume, slices=(3, 12))
    with pytest.raises(InputError, match="the first and the last, from 0"):
        VolumeOptions(slices=(3, 2))
    with pytest.raises(InputError, match="a window is a name or two numbers low,high"):
        VolumeOptions(window="a,b")
    assert VolumeOptions(window="lung").wanted_window() == "lung"
    assert "lung" in CT_WINDOWS


def test_sides():
    def region(low, high):
        middle = (low + high) / 2
        return Region(1, "x", 1, 1.0, (middle, 0, 0), (low, 0, 0), (high, 1, 1))

    sides = [side_of(region(low, high), 5.0) for low, high in ((5, 9), (-3, 5), (0, 30), (-30, 8), (0, 11))]
    assert sides == ["right", "left", "mostly right", "mostly left", "midline"]


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_the_midline_of_the_phantom(modality):
    volume = make_phantom(modality=modality, spacing=(10, 10, 10), axes="LPS", rotation=(0, 0, 10)).volume
    assert abs(find_midline(volume).mm[0]) < 3.0


def test_linking():
    def piece(index, x, label=""):
        return Piece(index, Mask.from_box((x, 0, x + 4, 4), 8, 30), label)

    things = link([piece(0, 0, "a"), piece(1, 2, "b"), piece(2, 4, "b"), piece(2, 20), piece(5, 4)], 0.5)
    assert [thing.slices for thing in things] == [[0, 1, 2], [2], [5]]
    assert things[0].label == "b"
    assert [thing.slices for thing in link([piece(0, 0), piece(1, 2)], 0.51)] == [[0], [1]]
    assert [thing.slices for thing in link([piece(0, 0), Piece(1, Mask.empty(8, 30))], 0.5)] == [[0]]
    assert gaps(things, 0.5, 1) == []
    (pair,) = gaps(things, 0.5, 2)
    assert [thing.slices for thing in pair] == [[0, 1, 2], [5]]
    assert [thing.slices for thing in merged(things, [pair])] == [[0, 1, 2, 5], [2]]


class OneKind:
    """Takes note of what is judged; what a patient has is found in some scans alone."""

    def __init__(self, fits=True):
        self.fits, self.shown = fits, set()

    def fitting(self, pictures, names):
        self.shown.add(tuple(int(one.name.rsplit("-", 1)[1]) for one in pictures))
        return tuple(names) if self.fits else ()

    def why_not(self, pictures, names, nouns):
        return f"{', '.join(nouns)}: not here"


class BrightDetector:
    """Finds what is bright."""

    def vocabulary(self):
        return ("tumour",)

    def read(self, noun):
        return Reading(noun, "tumour")

    def detect(self, images, names):
        return [[Detection(part.box, 0.9, "tumour") for part in bright(image).components()] for image in images]


def test_slices_are_of_the_kind_of_the_middle_of_the_volume():
    kinds, options = OneKind(), VolumeOptions(window="0,1000")
    pipeline = Pipeline(prompter=DetectorPrompter(BrightDetector(), kinds=kinds), segmenter=Threshold())
    result = segment_volume(pipeline, scan(np.s_[10:20, 10:20, 4:7]), "the tumour", options)
    assert result.outcome is Outcome.FOUND
    assert kinds.shown == {(4, 6, 7)}


def test_a_volume_of_another_kind_is_told_before_a_slice_is_asked_about():
    cutter = Threshold()
    pipeline = Pipeline(prompter=DetectorPrompter(BrightDetector(), kinds=OneKind(fits=False)), segmenter=cutter)
    with pytest.raises(InputError, match="scan: tumour: not here"):
        segment_volume(pipeline, scan(np.s_[10:20, 10:20, 4:7]), "the tumour", VolumeOptions(window="0,1000"))
    assert cutter.boxes == []
