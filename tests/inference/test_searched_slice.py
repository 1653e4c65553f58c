"""A model that segments finds the slice by itself, and the record says how sure the search was."""

import json

import numpy as np
import pytest
import torch

from prepare.synthetic import chest
from toy_model import MARKED_HU, marker
from triplenet import scan
from triplenet.errors import BadInput, BadModel, NoLung, NotAChest
from triplenet.inference import Classifier, Record, predict
from triplenet.scan import Geometry, Scan, Source

SLICES, STEP_MM = 60, 2.0
SIZE = 96


def patient(*lesions, slices=SLICES):
    """A chest with balls of marked tissue: (slice, row, column, radius in mm)."""
    hu, _, _, geometry = chest(slices=3)
    hu = np.repeat(hu[2:], slices, axis=0)
    geometry = Geometry(hu.shape, geometry.affine)
    z, y, x = np.ogrid[: hu.shape[0], : hu.shape[1], : hu.shape[2]]
    affine = geometry.affine.copy()
    affine[:3, 0] *= STEP_MM / np.linalg.norm(affine[:3, 0])
    geometry = Geometry(geometry.shape, affine)
    step, row, column = geometry.spacing_mm
    for k, r, c, radius in lesions:
        hu[((z - k) * step) ** 2 + ((y - r) * row) ** 2 + ((x - c) * column) ** 2 <= radius**2] = MARKED_HU
    return hu, geometry


def held(hu, geometry):
    return Scan(hu, geometry, Source("nifti", "scan.nii"))


def marked_area(hu):
    return (hu == MARKED_HU).sum((1, 2))


TWO = ((20, 45, 28, 14.0), (41, 50, 68, 22.0))


def test_the_slice_with_the_largest_infection_is_found_and_what_was_looked_at_is_told():
    hu, geometry = patient(*TWO)
    result = predict(held(hu, geometry), marker())
    record = result.record
    largest = marked_area(hu)
    assert record.slice.rule == "largest predicted infection"
    assert largest[record.slice.from_feet] == largest.max()
    found = record.search
    assert (found.by, found.smallest_lesion_mm, found.exhaustive) == ("triple", 10.0, False)
    assert found.evaluations == len(found.from_feet) == len(found.infection_mm2) < SLICES / 2
    assert record.slice.from_feet in found.from_feet
    _, row_mm, column_mm = geometry.spacing_mm
    true = largest[list(found.from_feet)] * row_mm * column_mm
    np.testing.assert_allclose(found.infection_mm2, true, rtol=0.02, atol=20)
    assert not any("need not show the disease" in text for text in record.warnings)
    assert {"search", "lungs", "read slices", "network", "classify", "explain"} <= set(record.timings_ms)
    assert Record.model_validate_json(record.model_dump_json()) == record


def test_looking_at_every_slice_finds_the_same_one():
    hu, geometry = patient(*TWO)
    steps = predict(held(hu, geometry), marker()).record
    every = predict(held(hu, geometry), marker(), search="exhaustive").record
    assert every.search.exhaustive and every.search.from_feet == tuple(range(SLICES))
    assert every.slice.from_feet == steps.slice.from_feet


def test_a_smaller_lesion_is_found_when_it_is_asked_for():
    hu, geometry = patient((33, 45, 28, 3.0))
    record = predict(held(hu, geometry), marker(), smallest_lesion_mm=4).record
    assert record.slice.rule == "largest predicted infection"
    assert marked_area(hu)[record.slice.from_feet] == marked_area(hu).max()


def test_a_scan_without_infection_is_shown_at_its_largest_lung_with_a_warning():
    hu, geometry = patient()
    record = predict(held(hu, geometry), marker()).record
    assert record.slice.rule == "largest predicted lung"
    assert any(text.startswith("No infection of 39 mm2 or more was found in the") for text in record.warnings)


def test_a_finder_searches_for_a_model_that_does_not_segment():
    hu, geometry = patient(*TWO)
    record = predict(held(hu, geometry), marker(method="baseline"), finder=marker(method="mtdl")).record
    assert record.slice.rule == "largest predicted infection"
    assert (record.model.method, record.search.by) == ("baseline", "mtdl")
    assert record.predicted == "positive"


@pytest.mark.parametrize(
    ("model", "finder", "search", "says"),
    [
        ({"method": "triple"}, {"method": "double"}, "coarse", "does not segment"),
        ({"method": "covnet", "frames": 4}, {"method": "triple"}, "coarse", "reads the whole scan"),
        ({"method": "baseline"}, {"method": "triple"}, "lung", "goes by the lung"),
    ],
)
def test_a_finder_that_could_not_be_asked_is_refused(model, finder, search, says):
    hu, geometry = patient()
    with pytest.raises(BadInput, match=says):
        predict(held(hu, geometry), marker(**model), finder=marker(**finder), search=search)


def test_a_readers_mask_without_infection_is_not_searched_behind():
    """Who says that there is none is not asked again."""
    hu, geometry = patient(*TWO)
    record = predict(held(hu, geometry), marker(), infection=np.zeros(hu.shape, np.uint8)).record
    assert record.slice.rule == "largest lung slice (derived lung)"


@pytest.mark.parametrize("more", [{"slice_from_feet": 5}, {"infection": True}])
def test_what_is_known_is_not_searched_for(more):
    hu, geometry = patient(*TWO)
    if "infection" in more:
        more = {"infection": (hu == MARKED_HU).astype(np.uint8)}
    record = predict(held(hu, geometry), marker(), **more).record
    assert record.search is None and "search" not in record.timings_ms


def test_what_is_no_chest_is_not_searched():
    hu, geometry = patient()
    solid = np.full_like(hu, 40)
    solid[..., :4] = -1000
    with pytest.raises(NoLung):
        predict(held(solid, geometry), marker())
    small = np.full_like(hu, 40)
    small[..., 40:45, 40:45] = -850
    small[..., :4] = -1000
    with pytest.raises(NotAChest):
        predict(held(small, geometry), marker())
    assert predict(held(small, geometry), marker(), any_body_part=True).record.search is not None


def test_a_network_whose_segmentation_is_no_number_is_refused():
    hu, geometry = patient()
    model = marker()
    model.network.decide = lambda maps, size: type(model.network).decide(
        model.network, (maps[0] * torch.nan,) * 2, size
    )
    with pytest.raises(BadModel, match="not finite"):
        predict(held(hu, geometry), model)


def test_the_search_is_that_of_the_file_whatever_its_order_or_packing(tmp_path):
    hu, geometry = patient(*TWO)
    expected = predict(held(hu, geometry), marker()).record
    scan.write_nifti(tmp_path / "scan.nii.gz", hu, geometry)
    upside_down = geometry.affine.copy()
    upside_down[:3, 3] = geometry.world((len(hu) - 1, 0, 0))
    upside_down[:3, 0] *= -1
    scan.write_nifti(tmp_path / "turned.nii", hu[::-1], Geometry(geometry.shape, upside_down))
    outcomes = Classifier.load(marker()).each([tmp_path / "scan.nii.gz", tmp_path / "turned.nii"])
    found = [item.result.record for item in outcomes]
    for record in found:
        assert record.slice.from_feet == expected.slice.from_feet
        assert json.loads(record.search.model_dump_json()) == json.loads(expected.search.model_dump_json())
    assert found[1].slice.in_file == len(hu) - 1 - expected.slice.from_feet
