import json

import numpy as np
import pytest

from fiducial.cli import main
from fiducial.volumes import LabelMap, Volume, make_phantom
from volumes.dicom_files import write_series

pytest.importorskip("nibabel")


@pytest.fixture
def folder(tmp_path):
    """Write a phantom of a few slices as NIfTI."""
    phantom = make_phantom(modality="MR", spacing=(4.0, 4.0, 60.0), axes="LPS")
    body = np.where(phantom.volume.array > 90, 100, 0)
    array = np.where(phantom.label_map.array == 4, 900, body).astype(np.uint16)  # the liver alone is bright
    LabelMap(array, phantom.volume.affine).write(tmp_path / "scan.nii.gz")
    return tmp_path


WORDS = ("the brightest region", "--recipe", "classic", "--slices", "2,3", "--window", "0,1000", "--modality", "MR")


def test_a_volume_becomes_a_label_map_a_table_and_a_page(folder, capsys):
    out = folder / "out"
    assert main(["segment", str(folder / "scan.nii.gz"), *WORDS, "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "Left and right are the patient's." in said.out
    assert "on the patient's right" in said.out
    assert f"wrote {out / 'page.html'}" in said.out
    assert "[2/2] scan.nii.gz: 0 s left" in said.err
    found = LabelMap.read(out / "labels.nii.gz")
    assert found.shape == Volume.read(folder / "scan.nii.gz").shape
    assert list(found.regions) == [1]
    card = json.loads((out / "run.json").read_text("utf-8"))
    assert card["settings"]["recipe"]["name"] == "classic"
    assert card["command"][:2] == ["fiducial", "segment"]


def test_a_dicom_series_gets_a_dicom_segmentation(folder, capsys):
    pydicom = pytest.importorskip("pydicom")
    pytest.importorskip("highdicom")
    scan = Volume.read(folder / "scan.nii.gz")
    write_series(folder / "series", scan.array, scan.affine, modality="MR")
    out = folder / "out"
    assert main(["segment", str(folder / "series"), *WORDS, "--out", str(out), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["modality"] == "MR"
    assert len(values["table"]) == 1
    assert pydicom.dcmread(out / "labels.dcm").Modality == "SEG"


def test_several_volumes_get_folders_of_their_own_and_a_bad_one_does_not_end_the_rest(folder, capsys):
    (folder / "bad.nii").write_bytes(b"no header")
    words = ["segment", str(folder / "bad.nii"), str(folder / "scan.nii.gz"), *WORDS, "--out", str(folder / "out")]
    assert main(words) == 2
    assert "bad.nii: not a readable NIfTI file" in capsys.readouterr().err
    assert (folder / "out" / "scan.nii.gz" / "page.html").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["picture.png", "the ship", "--plane", "coronal"], "--plane is for volumes, and these are pictures"),
        (["scan.nii.gz", "picture.png", "the ship"], "volumes and pictures are not segmented together"),
        (["scan.nii.gz", "the tumour", "--check"], "are for pictures, and these are volumes"),
        (["scan.nii.gz", "the tumour left of the liver", "--plane", "sagittal"], "take --plane axial or coronal"),
        (["scan.nii.gz", "the tumour", "--plane", "axal"], "unknown value of --plane: 'axal': did you mean 'axial'"),
    ],
)
def test_what_does_not_go_together_is_refused(folder, words, said, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    assert main(["segment", *words, "--recipe", "classic"]) == 2
    assert said in capsys.readouterr().err
