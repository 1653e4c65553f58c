"""Several slices decide, and on request every one is told of."""

import csv

import nibabel as nib
import numpy as np
import pytest

from inference.test_searched_slice import TWO, held, marked_area, patient
from toy_model import MARKED_HU, marker
from triplenet import scan
from triplenet.errors import BadInput
from triplenet.inference import Classifier, predict
from triplenet.inference.looked_at import MAPS_KEPT, LookedAt
from triplenet.inference.runtime import TorchRuntime
from triplenet.outputs import write
from triplenet.scan import Geometry
from triplenet.scan.series import MemorySeries


class Held(MemorySeries):
    def __init__(self, hu, geometry):
        super().__init__(geometry, held(hu, geometry).source)
        self._hu = hu

    def _load(self):
        return self._hu, 0


def test_the_best_slices_decide_and_their_spread_is_told():
    hu, geometry = patient(*TWO)
    record = predict(held(hu, geometry), marker(), aggregate="mean", best_slices=4).record
    told = record.decision
    assert told.slices[0].from_feet == record.slice.from_feet and len(told.slices) == 4
    assert [one.area_mm2 for one in told.slices] == sorted((one.area_mm2 for one in told.slices), reverse=True)
    disease = [one.probabilities[1] for one in told.slices]
    assert record.positive_probability == pytest.approx(np.mean(disease))
    assert told.positive_range == (min(disease), max(disease))
    assert told.positive_sd == pytest.approx(np.std(disease, ddof=1))


def test_by_default_the_best_slice_decides_alone():
    hu, geometry = patient(*TWO)
    record = predict(held(hu, geometry), marker()).record
    assert record.decision.aggregate == "best"
    assert [one.probability for one in record.classes] == list(record.decision.slices[0].probabilities)


def test_a_slice_that_was_named_decides_alone():
    hu, geometry = patient(*TWO)
    told = predict(held(hu, geometry), marker(), slice_from_feet=7, aggregate="noisy-or").record.decision
    assert [one.from_feet for one in told.slices] == [7]
    assert told.positive_sd is None and told.positive_range is None and told.slices[0].area_mm2 is None


def test_the_masks_slices_decide_where_masks_are_given():
    hu, geometry = patient(*TWO)
    infection = (hu == MARKED_HU).astype(np.uint8)
    record = predict(held(hu, geometry), marker(), infection=infection, aggregate="weighted").record
    largest = marked_area(hu)
    assert largest[record.decision.slices[0].from_feet] == largest.max()
    assert all(largest[one.from_feet] for one in record.decision.slices)


def test_slices_that_disagree_are_warned_of():
    hu, geometry = patient((30, 45, 28, 12.0))
    record = predict(held(hu, geometry), marker(), slice_from_feet=None, smallest_lesion_mm=40, best_slices=3).record
    disagreeing = len({one.probabilities.index(max(one.probabilities)) for one in record.decision.slices}) > 1
    assert any(text.startswith("The slices disagree") for text in record.warnings) == disagreeing


def test_every_slice_is_a_curve_and_a_volume_of_heat_on_the_scans_own_grid(tmp_path):
    hu, geometry = patient(*TWO)
    upside_down = geometry.affine.copy()
    upside_down[:3, 3] = geometry.world((len(hu) - 1, 0, 0))
    upside_down[:3, 0] *= -1
    scan.write_nifti(tmp_path / "scan.nii.gz", hu[::-1], Geometry(geometry.shape, upside_down))
    result = predict(tmp_path / "scan.nii.gz", marker(), every_slice=True)
    assert result.record.search.exhaustive
    write(result, tmp_path / "out", ["json"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["heat.nii.gz", "result.json", "slices.csv"]
    with (tmp_path / "out/slices.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["from_feet"]) for row in rows] == list(range(len(hu)))
    infected = [float(row["infection_mm2"]) for row in rows]
    pixel = geometry.spacing_mm[1] * geometry.spacing_mm[2]
    np.testing.assert_allclose(infected, marked_area(hu) * pixel, rtol=0.02, atol=20)
    disease = np.array([float(row["probability positive"]) for row in rows])
    assert disease[marked_area(hu) > 15].min() > 0.5 > disease[marked_area(hu) == 0].max()
    own, heat = nib.load(tmp_path / "scan.nii.gz"), nib.load(tmp_path / "out/heat.nii.gz")
    assert heat.shape == own.shape and heat.get_data_dtype() == np.uint8
    np.testing.assert_allclose(heat.affine, own.affine, atol=1e-4)
    hot = np.asanyarray(heat.dataobj).transpose(2, 1, 0)[::-1] > 0.5
    truth = hu == MARKED_HU
    assert 2 * (hot & truth).sum() > 0.97 * (hot.sum() + truth.sum())
    assert np.asanyarray(heat.dataobj).max() == pytest.approx(1, abs=1e-6)


def test_beside_a_heat_of_no_class_lies_what_speaks_for_the_class_of_each_slice(tmp_path):
    hu, geometry = patient(*TWO)
    result = predict(held(hu, geometry), marker(evidence=True), every_slice=True)
    alone = predict(held(hu, geometry), marker(evidence=True), slice_from_feet=20)
    write(result, tmp_path / "out", ["json"])
    evidence = np.asanyarray(nib.load(tmp_path / "out" / "evidence.nii.gz").dataobj).transpose(2, 1, 0)
    assert evidence.shape == hu.shape and evidence.max() > 0
    assert np.abs(evidence[20] - alone.class_heat).mean() < 0.01 < alone.class_heat.max()
    assert (tmp_path / "out" / "heat.nii.gz").is_file()


def test_of_one_slice_a_volume_is_a_slice():
    hu, geometry = patient(*TWO)
    one = predict(held(hu[20:21], Geometry((1, *hu.shape[1:]), geometry.affine)), marker(), every_slice=True)
    assert one.every_slice.heat.shape[0] == len(one.every_slice.z_mm) == 1


@pytest.mark.parametrize("more", [{"aggregate": "mean"}, {"every_slice": True}])
def test_what_is_of_slices_is_not_asked_of_a_method_that_reads_the_whole_scan(more):
    hu, geometry = patient(*TWO)
    with pytest.raises(BadInput, match="reads the whole scan"):
        predict(held(hu, geometry), marker(method="covnet", frames=4), **more)


def test_maps_of_many_slices_are_kept_of_those_that_show_most_and_the_others_asked_for_again():
    hu, geometry = patient(*TWO, slices=90)
    looked = LookedAt(Held(hu, geometry), TorchRuntime(marker()), -200.0)
    looked.look(range(90))
    assert len(looked._heats) <= MAPS_KEPT + 8
    for index in (0, 41, 89):
        np.testing.assert_array_equal(looked.heat(index) > 0.5, hu[index] == MARKED_HU)


def test_a_finder_looks_for_infection_and_the_classifier_at_the_best_slices_only():
    hu, geometry = patient(*TWO)
    classify = Classifier.load(marker(method="baseline"), finder=marker(), aggregate="mean", best_slices=3)
    record = classify(held(hu, geometry)).record
    assert len(record.decision.slices) == 3 and record.measures.by == "triple"
    assert record.explanation.kind == "grad-cam"


@pytest.mark.parametrize("more", [{"slice_from_feet": 20}, {"search": "lung"}])
def test_every_slice_counts_what_a_search_counts_however_the_slice_was_chosen(more):
    hu, geometry = patient(*TWO)
    hu[3:14, 84:94, 20:76] = MARKED_HU  # a blanket
    searched, other = (predict(held(hu, geometry), marker(), every_slice=True, **how) for how in ({}, more))
    np.testing.assert_array_equal(other.every_slice.infection_mm2, searched.every_slice.infection_mm2)
    assert other.record.measures == searched.record.measures
