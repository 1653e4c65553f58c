"""COVID-19-20, CC-CCII's lesion pictures, STOIC2021, and the slice labels of COVID-CT-MD."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.test_datasets import passed, run_verb, touch
from prepare.synthetic import chest
from scan.dicom_builder import body, write_series
from triplenet import scan
from triplenet.catalog import TASKS
from triplenet.cohort import read_cohort
from triplenet.datasets import import_dataset, import_notes
from triplenet.datasets.pictures import read_labelled
from triplenet.errors import BadDataset, BadMask

# --- COVID-19-20 ----------------------------------------------------------------------------------


def test_covid_19_20_has_lesion_masks_and_scans_of_a_patient_in_one_group(tmp_path):
    src, train = tmp_path / "src", "COVID-19-20_v2/Train"
    for name in ("volume-covid19-A-0047", "volume-covid19-A-0047_1", "volume-covid19-A-0721_day008"):
        touch(src, f"{train}/{name}_ct.nii.gz", f"{train}/{name}_seg.nii.gz")
    touch(src, "COVID-19-20_v2/Validation/volume-covid19-A-0003_ct.nii.gz", f"{train}/other_ct.nii.gz")
    touch(src, f"{train}/volume-covid19-A-0900_seg.nii.gz", f"{train}/other_seg.nii.gz", f"{train}/._x_ct.nii.gz")
    touch(src, "readme.txt")
    rows = read_cohort(import_dataset("covid-19-20", src, tmp_path / "out")).patients
    assert [(p.patient, p.finding, p.group) for p in rows] == [
        ("volume-covid19-A-0047", None, "volume-covid19-A-0047"),
        ("volume-covid19-A-0047_1", None, "volume-covid19-A-0047"),
        ("volume-covid19-A-0721_day008", None, "volume-covid19-A-0721"),
    ]
    assert rows[1].infection.samefile(src / train / "volume-covid19-A-0047_1_seg.nii.gz")
    reasons = passed(tmp_path / "out")
    assert "without a mask" in reasons["COVID-19-20_v2/Validation/volume-covid19-A-0003_ct.nii.gz"]
    for name in ("volume-covid19-A-0900", "other"):
        assert reasons[f"{train}/{name}_seg.nii.gz"] == "a mask of none of the volumes"
    assert "whose it is" in reasons[f"{train}/other_ct.nii.gz"]
    assert {"readme.txt", f"{train}/._x_ct.nii.gz"} <= set(reasons)
    assert import_notes(tmp_path / "out") == ("COVID-19-20 as published has 199 masks; here are 3",)
    with pytest.raises(BadDataset, match="no volume-covid19-A"):
        import_dataset("covid-19-20", src / "COVID-19-20_v2" / "Validation", tmp_path / "none")


# --- CC-CCII --------------------------------------------------------------------------------------


@pytest.fixture
def lesions(tmp_path):
    """Two slices of a scan with masks and one without, in a window of -1250 to 250 HU; the masks' values, (Y, X)."""
    hu, lung, infection, _ = chest(slices=3, size=256, lesion=(2, 100, 75, 12))
    grey = ((hu[2].astype(float) + 1250) / 1500 * 255).clip(0, 255).astype(np.uint8)
    values = lung[2].copy()
    values[infection[2] > 0] = 2
    values[:, :70][infection[2][:, :70] > 0] = 3
    for part in ("image", "mask"):
        (tmp_path / "src" / "ct_lesion_seg" / part / "1").mkdir(parents=True)
    for number in ("70", "71", "8"):
        Image.fromarray(grey).save(tmp_path / "src" / "ct_lesion_seg" / "image" / "1" / f"{number}.png")
    for number in ("70", "8"):
        Image.fromarray(values).save(tmp_path / "src" / "ct_lesion_seg" / "mask" / "1" / f"{number}.png")
    return tmp_path / "src", hu[2], values


def test_cc_ccii_knows_lung_ground_glass_and_consolidation_by_their_values(lesions, tmp_path):
    src, hu, values = lesions
    rows = read_cohort(import_dataset("cc-ccii", src, tmp_path / "out", jobs=1)).patients
    assert [(p.patient, p.finding, p.group) for p in rows] == [
        ("CC-CCII-1-8", None, "CC-CCII-1"),
        ("CC-CCII-1-70", None, "CC-CCII-1"),
    ]
    read = scan.read(rows[0].scan)
    np.testing.assert_array_equal(scan.read_mask(rows[0].infection, read.geometry)[0][0], values >= 2)
    np.testing.assert_array_equal(scan.read_mask(rows[0].lung, read.geometry)[0][0], values >= 1)
    assert {2, 3} <= set(values.ravel().tolist())
    error = read.hu[0].astype(float) - hu
    # Where the window ends, at 250 HU, nothing is lost here.
    assert np.abs(np.median(error)) < 60 and np.median(np.abs(error)) < 60
    assert passed(tmp_path / "out") == {"ct_lesion_seg/image/1/71.png": "a slice without a mask"}


def test_a_value_that_no_mask_of_cc_ccii_has_costs_its_slice(lesions, tmp_path):
    src, _, values = lesions
    Image.fromarray(values * 85).save(src / "ct_lesion_seg" / "mask" / "1" / "8.png")
    touch(src, "ct_lesion_seg/mask/1/99.png")
    said = run_verb("cc-ccii", src / "ct_lesion_seg", tmp_path / "out", "--jobs", "1")
    assert said.exit_code == 3
    with (tmp_path / "out" / "rejected.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["patient"], row["code"]) == ("CC-CCII-1-8", "BAD_MASK")
    assert "the value 85 in a mask of 0 to 3" in row["reason"]
    assert passed(tmp_path / "out")["mask/1/99.png"] == "a mask without a slice of the same name in image"
    with pytest.raises(BadMask):
        read_labelled(src / "ct_lesion_seg" / "mask" / "1" / "8.png", frozenset({0, 1, 2, 3}), frozenset({1}))


def test_a_folder_without_lesion_pictures_is_refused(tmp_path):
    (tmp_path / "src" / "NCP").mkdir(parents=True)
    with pytest.raises(BadDataset, match="ct_lesion_seg/image and mask"):
        import_dataset("cc-ccii", tmp_path / "src", tmp_path / "out")


# --- STOIC2021 ------------------------------------------------------------------------------------


def reference(src, *lines, columns="PatientID,probCOVID,probSevere"):
    (src / "metadata").mkdir(parents=True, exist_ok=True)
    (src / "metadata" / "reference.csv").write_text("\n".join((columns, *lines)) + "\n")


def test_stoic_has_the_result_of_the_test_as_finding(tmp_path):
    src = tmp_path / "src"
    touch(src, "data/mha/21.mha", "data/mha/3.mha", "data/mha/5.mha", "data/mha/8.mha")
    reference(src, "3,1.0,1.0", "21,0.0,0.0", "5,1,0", "7,1,0")
    rows = read_cohort(import_dataset("stoic", src, tmp_path / "out"), tasks=[TASKS["covid"]]).patients
    assert [(p.patient, p.finding, p.extra["severe"]) for p in rows] == [
        ("STOIC-3", "COVID-19", "yes"), ("STOIC-21", "non-COVID-19", "no"), ("STOIC-5", "COVID-19", "no")
    ]  # fmt: skip
    assert rows[1].scan.samefile(src / "data" / "mha" / "21.mha")
    assert passed(tmp_path / "out") == {"data/mha/8.mha": "not named in reference.csv"}
    assert import_notes(tmp_path / "out")[0] == "patients of reference.csv without a scan: 1"


@pytest.mark.parametrize("line", ["3,2,0", "3,,0", "../3,1,0", "3,1,0\n3,1,0"])
def test_a_reference_that_says_nothing_clear_is_refused(tmp_path, line):
    src = tmp_path / "src"
    touch(src, "data/mha/3.mha")
    reference(src, line)
    with pytest.raises(BadDataset, match=r"row \d has not a PatientID of its own"):
        import_dataset("stoic", src, tmp_path / "out")
    reference(src, "3,1", columns="id,covid")
    with pytest.raises(BadDataset, match="not the columns PatientID"):
        import_dataset("stoic", src, tmp_path / "out")
    (src / "metadata" / "reference.csv").unlink()
    with pytest.raises(BadDataset, match="not both"):
        import_dataset("stoic", src, tmp_path / "out")


# --- COVID-CT-MD ----------------------------------------------------------------------------------

DEPTH = 6


@pytest.fixture
def labelled(tmp_path):
    """P001 and cap001 with labels in the rows 0 and 1 of the array, whose numbers in Index.csv are 0 and 44."""
    src = tmp_path / "src"
    for folder in ("COVID-19 Cases/P001", "Cap Cases/cap001", "Normal Cases/normal001"):
        write_series(src / folder, body(DEPTH, 16, 16))
    (src / "Index.csv").write_text(
        "Label Index,Diagnosis,Relative Path,Folder/ID\n0,COVID-19,./COVID-19/,P001\n44,CAP,./CAP/,cap001\n"
    )
    labels = np.zeros((2, DEPTH + 3), np.int64)
    labels[0, [0, 1]] = 1  # the two slices nearest to the head
    labels[1, 5] = 1  # the lowest
    np.save(src / "Slice-level-labels-updated-1.npy", labels)
    np.save(src / "Slice-level-labels.npy", 1 - labels)
    return src, labels


def slice_labels(out):
    found = {}
    with (out / "slice-labels.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            found.setdefault(row["patient"], []).append(int(row["infected"]))
            assert int(row["slice"]) == len(found[row["patient"]]) - 1
    return found


def test_slice_labels_run_from_the_head_and_their_row_is_the_position_in_the_index(labelled, tmp_path):
    src, _ = labelled
    rows = read_cohort(import_dataset("covid-ct-md", src, tmp_path / "out", jobs=1))
    assert slice_labels(tmp_path / "out") == {"P001": [0, 0, 0, 0, 1, 1], "cap001": [1, 0, 0, 0, 0, 0]}
    assert {p.patient: p.extra["infected_slices"] for p in rows} == {"P001": "2", "cap001": "1", "normal001": ""}
    assert list(passed(tmp_path / "out")) == ["Slice-level-labels.npy"]


def test_a_scan_whose_slices_are_stored_downwards_has_the_same_labels(labelled, tmp_path):
    src, _ = labelled
    for path in (src / "COVID-19 Cases" / "P001").iterdir():
        path.unlink()
    write_series(src / "COVID-19 Cases" / "P001", body(DEPTH, 16, 16), down=(0, -1, 0))
    assert scan.open(src / "COVID-19 Cases" / "P001").canonical()[1].flips[0]
    import_dataset("covid-ct-md", src, tmp_path / "out", jobs=1)
    assert slice_labels(tmp_path / "out")["P001"] == [0, 0, 0, 0, 1, 1]


def test_scans_whose_slices_cannot_be_counted_have_no_slice_labels_and_it_is_said(labelled, tmp_path):
    src, labels = labelled
    (src / "Cap Cases" / "cap001" / "IM0009.dcm").write_bytes(b"x")
    np.save(src / "Slice-level-labels-updated-1.npy", np.vstack([labels, labels[:1]]))
    with (src / "Index.csv").open("a") as stream:
        stream.write("45,CAP,./CAP/,cap009\n")
    import_dataset("covid-ct-md", src, tmp_path / "out", jobs=1)
    assert list(slice_labels(tmp_path / "out")) == ["P001"]
    assert import_notes(tmp_path / "out") == (
        "patients with slice labels that are not in the folders: 1 (cap009)",
        "patients whose slices cannot be counted, without slice labels: 1 (cap001)",
    )


def test_slice_labels_that_do_not_fit_are_refused(labelled, tmp_path):
    src, labels = labelled
    file = src / "Slice-level-labels-updated-1.npy"
    behind = labels.copy()
    behind[1, DEPTH] = 1
    cases = (
        (behind, "a slice label of cap001 lies behind the last of its 6 slices"),
        (labels[:1], "an array of 1 x 9 for the 2 patients"),
        (labels.ravel(), "an array of 18 for the 2 patients"),
        (labels + 1, "must be 0 or 1"),
        (labels.astype(object), "no NumPy array of numbers"),
    )
    for array, said in cases:
        np.save(file, array, allow_pickle=True)
        with pytest.raises(BadDataset, match=said):
            import_dataset("covid-ct-md", src, tmp_path / "out", jobs=1)
    np.save(file, labels)
    (src / "Index.csv").write_text("Patient\nP001\n")
    with pytest.raises(BadDataset, match="no table with the column Folder/ID"):
        import_dataset("covid-ct-md", src, tmp_path / "out", jobs=1)
    (src / "Index.csv").unlink()
    with pytest.raises(BadDataset, match=r"no Index.csv beside it"):
        import_dataset("covid-ct-md", src, tmp_path / "out", jobs=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.real_data
def test_real_slice_labels_lie_on_their_slices(tmp_path):
    """P001: the labels by SOPInstanceUID, which were checked by eye, against those laid on the series from the head."""
    folder = os.environ.get("TRIPLENET_REAL_DATA")
    if not folder:
        pytest.skip("TRIPLENET_REAL_DATA does not name the folder with real scans")
    dicom = Path(folder) / "dicom"
    with (dicom / "covid-ct-md_P001_slice_labels.csv").open(newline="") as stream:
        infected = {row["sop_instance_uid"]: int(row["infected"]) for row in csv.DictReader(stream)}
    series = scan.open(dicom / "covid-ct-md_P001")
    frames = sorted(series.frames, key=lambda frame: -frame.position[2])  # from the head
    src = tmp_path / "src"
    for finding in ("COVID-19 Cases", "Normal Cases"):
        (src / finding).mkdir(parents=True)
    (src / "COVID-19 Cases" / "P001").symlink_to(dicom / "covid-ct-md_P001")
    touch(src, "Normal Cases/normal001/IM0001.dcm")
    (src / "Index.csv").write_text("Label Index,Folder/ID\n0,P001\n")
    np.save(src / "Slice-level-labels-updated-1.npy", [[infected[frame.sop_uid] for frame in frames]])
    import_dataset("covid-ct-md", src, tmp_path / "out", jobs=1)
    found = slice_labels(tmp_path / "out")["P001"]
    assert len(found) == 148
    assert found == [infected[frame.sop_uid] for frame in frames[::-1]]
