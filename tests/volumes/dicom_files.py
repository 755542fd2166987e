"""DICOM series made for tests: one file per slice of a volume, as a scanner would have written them."""

import numpy as np

from fiducial.volumes.affines import LPS


def write_series(folder, array, affine, *, modality="CT", change=None, slope=1.0, intercept=0.0):
    """Write the slices of an array (X, Y, Z) on an orthogonal RAS+ affine, in shuffled names; returns the paths.

    ``change(index, dataset)`` may edit a slice before it is written, or return False to leave it out.
    """
    import pydicom
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    study, series, frame = (generate_uid(entropy_srcs=[str(folder), what]) for what in ("study", "series", "frame"))
    stored = np.rint((array - intercept) / slope).astype(np.int16)
    paths = []
    for index in range(array.shape[2]):
        one = pydicom.Dataset()
        one.file_meta = pydicom.dataset.FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.file_meta.MediaStorageSOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
        one.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(folder), str(index)])
        one.SOPClassUID, one.SOPInstanceUID = one.file_meta.MediaStorageSOPClassUID, one.file_meta[0x20003].value
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, frame
        one.Modality, one.SeriesNumber, one.InstanceNumber = modality, 3, index + 1
        one.PatientName = one.PatientID = one.PatientBirthDate = one.PatientSex = ""
        one.StudyDate = one.StudyTime = one.AccessionNumber = one.StudyID = one.ReferringPhysicianName = ""
        one.Rows, one.Columns = array.shape[1], array.shape[0]
        one.ImageOrientationPatient = [f"{x:.10g}" for x in (lps[:3, :2] / spacing[:2]).T.ravel()]
        one.ImagePositionPatient = [f"{x:.10g}" for x in lps[:3, 3] + index * lps[:3, 2]]
        one.PixelSpacing = [f"{spacing[1]:.10g}", f"{spacing[0]:.9g}"]
        one.SliceThickness = f"{spacing[2]:.10g}"
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated = one.BitsStored = 16
        one.HighBit, one.PixelRepresentation = 15, 1
        one.RescaleSlope, one.RescaleIntercept = f"{slope:g}", f"{intercept:g}"
        one.PixelData = np.ascontiguousarray(stored[:, :, index].T).tobytes()
        if change is not None and change(index, one) is False:
            continue
        path = folder / f"IM{(index * 7919) % 1000:03d}"
        one.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths
