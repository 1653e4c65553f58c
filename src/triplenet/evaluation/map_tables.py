"""The tables of the maps of a benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from triplenet.evaluation.intervals import UNDEFINED, Estimate
from triplenet.evaluation.map_results import ASKED, ENERGY, MapKey, MapResults
from triplenet.evaluation.map_statistics import MapValues, map_estimates
from triplenet.evaluation.map_strata import MapStratum
from triplenet.evaluation.method_tables import interval_cell, title_of
from triplenet.evaluation.tables import Cell, Column, Mark, Row, Table
from triplenet.explanation.labelled_maps import CLASS, OWN, SEGMENTATION
from triplenet.explanation.map_scores import MEASURES
from triplenet.explanation.randomisation import PERCENTILE
from triplenet.explanation.reference_maps import REFERENCES
from triplenet.explanation.scored_run import SECOND_READER, Randomisation, RandomisedStage

SCORES, ANSWERS, RANDOMISED, STRATA, AGREEMENT, REPEATED = (
    "map_scores",
    "map_answers",
    "map_randomised",
    "map_strata",
    "map_agreement",
    "map_repeated",
)
OF_MAPS = "map_"
"""What the names of all of them begin with"""
_GROUPS: Mapping[str, str] = {
    "pointing_game": "hottest pixel",
    "pointing_game_near": "hottest pixel",
    "energy_in_lesion": "share of the map's sum",
    "energy_in_lung": "share of the map's sum",
    "average_precision": "over pixels",
    "rank": "over pixels",
    "iou_matched": "as an area",
    "dice_matched": "as an area",
    "iou_otsu": "as an area",
    "dice_otsu": "as an area",
    "dice": "as an area",
}
_ASKED_TITLES = {
    "road": "ROAD",
    "insertion": "insertion",
    "deletion": "deletion",
    "follows_noise": "under noise",
    "follows_occlusion": "under occlusion",
}


def title_of_map(key: MapKey) -> str:
    """As tables and figures call it."""
    if not key.method:
        return "Second reader" if key.map == SECOND_READER else REFERENCES[key.map]
    more = {OWN: "", CLASS: ", evidence for the class", SEGMENTATION: ", its segmentation"}
    return title_of(key.method) + more[key.map]


def map_tables(
    found: MapResults,
    strata: Sequence[MapStratum],
    seeds: Mapping[str, MapValues],
    encoders: Mapping[str, MapValues],
) -> tuple[Table, ...]:
    """All that there are, the comparison with the lesions first.

    :param seeds: of ``repeated_values``: how alike the maps of a method's seeds are
    :param encoders: likewise of its encoders
    """
    tables: list[Table] = []
    if any(True for _ in primary_estimates(found)):
        tables.append(scores_table(found))
    if any(found.measures[name].patients(str(key)) for name in ASKED for key in found.keys):
        tables.append(answers_table(found))
    if any(run.randomisation for run in found.runs.values()):
        tables.append(randomised_table(found))
    if strata and tables and tables[0].name == SCORES:
        tables.append(strata_of_maps_table(found, strata))
    if found.agreement:
        tables.append(agreement_table(found))
    if seeds or encoders:
        tables.append(repeated_table(found, seeds, encoders))
    return tuple(tables)


def scores_table(found: MapResults) -> Table:
    """Every map against the lesions."""
    primary = MEASURES[found.primary]
    columns = [
        _column(found.primary, group="", title=f"{primary.title}, primary"),
        Column("place", "place", unit="", scale=1, digits=1, better="low"),
        Column("patients", "patients with a lesion", unit="", scale=1, digits=0, better=None),
    ]
    columns += [_column(name, group=_GROUPS[name]) for name in MEASURES if name != found.primary]
    columns.append(Column(ENERGY, "anywhere, without a lesion", better=None, group="mean of the map"))
    rows = []
    for name, key in found.titled():
        cells = {
            column.name: interval_cell(found.estimates[column.name][name])
            for column in columns
            if column.name in found.estimates and found.measures[column.name].patients(name)
        }
        if found.primary in cells and name in found.compared:
            one = cells[found.primary]
            cells[found.primary] = Cell(one.value, low=one.low, high=one.high, mark=_mark(found, name))
        if name in found.ranks:
            cells["place"] = interval_cell(found.ranks[name])
        cells["patients"] = Cell(float(found.measures[found.primary].patients(name)))
        explains = bool(key.method) and not key.is_ceiling
        rows.append(Row(name, title_of_map(key), cells, _remark(found, name, key), rated=explains))
    notes = [
        f"{primary.title.capitalize()} is the measure that the recipe declares as the primary one; all means are over "
        "the test patients with a lesion, and of a patient over the seeds, with 95 % intervals of the patient "
        "bootstrap. Place: by the primary measure among the methods' own maps, over the patients of whom all have a "
        "score.",
    ]
    if found.compared:
        other = title_of_map(_key(found, next(iter(found.compared.values())).other))
        notes.append(
            f"⁺ and ⁻: better or worse than {other} in the primary measure, paired patient bootstrap, p below 0.05 "
            "after Holm's correction."
        )
    if found.against_none:
        best = title_of_map(_key(found, next(iter(found.against_none.values())).other))
        notes.append(
            "The last lines see no network. Of a map whose paired interval does not lie wholly above the best of "
            f"them, {best}, it is said that it does not exceed it. A segmentation and a second reader are no "
            "explanations but ceilings; Triple Net's own map is its segmentation."
        )
    return Table(SCORES, "Maps against the lesions", "map", tuple(columns), tuple(rows), tuple(notes))


def answers_table(found: MapResults) -> Table:
    """What the network answers when a map is believed, and what a map costs."""
    columns = [
        Column(
            name,
            title,
            unit="",
            scale=1,
            digits=3,
            better="high" if ASKED[name] else "low",
            group="probability of the class" if name in ("road", "insertion", "deletion") else "follows the decision",
        )
        for name, title in _ASKED_TITLES.items()
    ]
    columns += [
        Column("patients", "patients", unit="", scale=1, digits=0, better=None),
        Column("ms", "a patient", unit="ms", scale=1, digits=1, better="low", group="cost"),
        Column("evaluations", "evaluations", unit="", scale=1, digits=0, better="low", group="cost"),
    ]
    rows = []
    for name, key in found.titled():
        if not key.method or key.is_ceiling or not found.measures["road"].patients(name):
            continue
        runs = [run for job, run in found.runs.items() if job.method == key.method]
        cells = {one: interval_cell(found.estimates[one][name]) for one in ASKED}
        cells |= {
            "patients": Cell(float(found.measures["road"].patients(name))),
            "ms": Cell(float(np.median([run.ms_a_patient for run in runs]))),
            "evaluations": Cell(_mean_known([run.evaluations_a_patient for run in runs])),
        }
        rows.append(Row(name, title_of_map(key), cells))
    notes = (
        "Of the first test patients of each fold, for the class predicted. ROAD: the mean over the fractions of the "
        "probability with the least relevant pixels imputed, less that with the most relevant; 0 by chance. Insertion "
        "into and deletion to the mean image, the same fractions; deletion alone misleads, since a network may answer "
        "to the shape of the hole.",
        "Follows the decision: Spearman's correlation of the map's change with the probability's, over graded noise "
        "and over places of an occluding square, within a patient. A map that is the same for every class (Triple "
        "Net's, ABN's) is not expected to follow it: it says where infection is seen, not why a class is; the evidence "
        "for the class beside it says that.",
        "Cost: how often the network looked at a patient for the probabilities and all these maps together, and the "
        "median time of that on the machine that scored.",
    )
    return Table(ANSWERS, "What the networks answer about their maps", "map", tuple(columns), tuple(rows), notes)


def randomised_table(found: MapResults) -> Table:
    """Whether the maps depend on what was learned."""

    def pair(name: str, group: str, of: str = "") -> list[Column]:
        return [
            Column(f"{name}_ssim", f"SSIM{of}", unit="", scale=1, digits=3, better=None, group=group),
            Column(f"{name}_spearman", f"Spearman{of}", unit="", scale=1, digits=3, better=None, group=group),
        ]

    columns = [
        Column("passed", "passed", unit="", better=None),
        Column("smoothed_passed", "passed, smoothed", unit="", better=None),
        Column("rise", "complexity rises by", better=None),
        *pair("head", "the output's module random"),
        *pair("input", "the input's module random"),
        *pair("all", "everything random"),
        *pair("chance", "different patients"),
        *pair("smoothed", "smoothed", ", everything random"),
        *pair("smoothed_chance", "smoothed", ", different patients"),
    ]
    rows = []
    for method in dict.fromkeys(key.method for key in found.keys if key.method):
        each = [run.randomisation for job, run in found.runs.items() if job.method == method and run.randomisation]
        if each:
            rows.append(Row(method, title_of(method), _randomised_cells(each)))
    patients = max(run.randomisation.patients for run in found.runs.values() if run.randomisation)
    notes = (
        f"How alike a map is to the trained network's once parameters are made random, of the first {patients} test "
        "patients of each fold (of a 3D method fewer), means over the runs. From the output to the input, and the "
        f"other way round; both ends are one network. Passed: less alike than {PERCENTILE:g} of 100 pairs of different "
        "patients' maps, in SSIM and in Spearman's correlation. Smoothed: of means over noisy copies (sMPRT). "
        "Complexity: the entropy of the map's histogram (eMPRT); more is better.",
    )
    return Table(RANDOMISED, "Maps of networks with random parameters", "method", tuple(columns), tuple(rows), notes)


def _randomised_cells(each: Sequence[Randomisation]) -> dict[str, Cell]:
    def both(name: str, stages: Sequence[RandomisedStage]) -> dict[str, Cell]:
        return _similar(name, [one.ssim for one in stages], [one.spearman for one in stages])

    return {
        **both("head", [_first_that_counts(one.top_down) for one in each]),
        **both("input", [one.bottom_up[0] for one in each]),
        **both("all", [one.top_down[-1] for one in each]),
        **_similar("chance", [one.chance_ssim for one in each], [one.chance_spearman for one in each]),
        "passed": Cell(text=f"{sum(one.passed for one in each)} of {len(each)}"),
        **both("smoothed", [one.smoothed[-1] for one in each]),
        **_similar(
            "smoothed_chance",
            [one.smoothed_chance_ssim for one in each],
            [one.smoothed_chance_spearman for one in each],
        ),
        "smoothed_passed": Cell(text=f"{sum(one.smoothed_passed for one in each)} of {len(each)}"),
        "rise": Cell(_mean([one.complexity_rise for one in each])),
    }


def _first_that_counts(stages: Sequence[RandomisedStage]) -> RandomisedStage:
    """The first stage that a map could notice: a contrastive head decides nothing."""
    return next((stage for stage in stages if stage.ssim < 1), stages[-1])


def _similar(name: str, ssim: Sequence[float], spearman: Sequence[float | None]) -> dict[str, Cell]:
    return {f"{name}_ssim": Cell(_mean(ssim)), f"{name}_spearman": Cell(_mean(spearman))}


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else np.nan


def strata_of_maps_table(found: MapResults, strata: Sequence[MapStratum]) -> Table:
    """The primary measure of the methods' own maps among parts of the patients."""
    methods = [key.method for key in found.keys if key.map == OWN]
    measure = MEASURES[found.primary]
    columns = tuple(
        Column(method, title_of(method), unit="%" if measure.percent else "", scale=100 if measure.percent else 1,
               digits=1 if measure.percent else 3, better=None)
        for method in methods
    )  # fmt: skip
    rows = []
    for one in strata:
        cells = {}
        for method, estimate in one.estimates.items():
            cell = interval_cell(estimate)
            cells[method] = Cell(cell.value, low=cell.low, high=cell.high, part=f"n = {one.patients[method]}")
        rows.append(Row(f"{one.about}: {one.value}", f"{one.about}: {one.value}", cells))
    note = (
        f"{measure.title.capitalize()} of the methods' own maps, with the patients in each part. Thirds are of the "
        "patients that have a value; right, wrong and confidence are each method's own."
    )
    return Table(STRATA, "Maps among parts of the patients", "patients", columns, tuple(rows), (note,))


def agreement_table(found: MapResults) -> Table:
    """Whether the measures put the methods into the same order."""
    there = dict.fromkeys(name for pair in found.agreement for name in pair)
    names = sorted(there, key=lambda name: name != found.primary)  # the others as they stand
    both = {(other, first): estimate for (first, other), estimate in found.agreement.items()} | dict(found.agreement)
    columns = tuple(
        Column(
            name,
            _measure_title(name) + (", primary" if name == found.primary else ""),
            unit="",
            scale=1,
            better=None,
            group="" if name == found.primary else _GROUPS.get(name, "the network's answers"),
        )
        for name in names
    )
    rows = [
        Row(
            first,
            _measure_title(first),
            {other: interval_cell(both[first, other]) for other in names if (first, other) in both},
        )
        for first in names
    ]
    note = (
        "Kendall's tau-b between two measures' orders of the methods' own maps, better first: 1 is the same order, 0 "
        "none, −1 the opposite one; with 95 % intervals over patients. A dash: one of the two tells no methods apart."
    )
    return Table(AGREEMENT, "Agreement of the measures", "measure", columns, tuple(rows), (note,))


def repeated_table(found: MapResults, seeds: Mapping[str, MapValues], encoders: Mapping[str, MapValues]) -> Table:
    """How alike the maps of the same patients are when a network is trained again."""
    groups = [("seeds", "another seed", seeds), ("encoders", "another encoder", encoders)]
    columns, cells = [], dict[str, dict[str, Cell]]()
    for name, group, values in groups:
        if not values:
            continue
        for one, title in (("ssim", "SSIM"), ("spearman", "Spearman")):
            columns.append(Column(f"{name}_{one}", title, unit="", scale=1, digits=3, group=group))
            for method, estimate in map_estimates(values[one]).items():
                cells.setdefault(method, {})[f"{name}_{one}"] = interval_cell(estimate)
        columns.append(Column(f"{name}_patients", "patients", unit="", scale=1, digits=0, better=None, group=group))
        for method in values["ssim"].values:
            cells[method][f"{name}_patients"] = Cell(float(values["ssim"].patients(method)))
    methods = [key.method for key in found.keys if key.map == OWN and key.method in cells]
    rows = tuple(Row(method, title_of(method), cells[method]) for method in methods)
    note = (
        "Of each test patient's own maps by two networks, the mean over the pairs of networks; means over patients "
        "with 95 % intervals."
    )
    return Table(REPEATED, "Maps of networks trained again", "method", tuple(columns), rows, (note,))


def _column(name: str, *, group: str, title: str = "") -> Column:
    measure = MEASURES[name]
    return Column(
        name,
        title or measure.title,
        unit="%" if measure.percent else "",
        scale=100 if measure.percent else 1,
        digits=1 if measure.percent else 3,
        better=measure.better,
        group=group,
    )


def _measure_title(name: str) -> str:
    """By itself, without a group's heading above it."""
    if name in MEASURES:
        return MEASURES[name].title
    return ("follows the decision " if name.startswith("follows") else "") + _ASKED_TITLES[name]


def _key(found: MapResults, name: str) -> MapKey:
    return dict(found.titled())[name]


def _mark(found: MapResults, name: str, level: float = 0.05) -> Mark | None:
    one = found.compared[name]
    if not one.adjusted < level or one.difference.value == 0:
        return None
    higher = found.measures[found.primary].higher_is_better
    return "better" if (one.difference.value > 0) == higher else "worse"


def _remark(found: MapResults, name: str, key: MapKey) -> str:
    if key.is_ceiling:
        return "ceiling"
    if not key.method:
        return "sees no network"
    one = found.against_none.get(name)
    if one is None or one.exceeds(found.measures[found.primary].higher_is_better):
        return ""
    return f"does not exceed {title_of_map(_key(found, one.other))}"


def primary_estimates(found: MapResults) -> Iterator[tuple[MapKey, Estimate]]:
    """Every map that has a score by the primary measure."""
    for name, key in found.titled():
        estimate = found.estimates[found.primary].get(name, UNDEFINED)
        if not np.isnan(estimate.value):
            yield key, estimate


def _mean_known(values: Sequence[float | None]) -> float:
    """NaN where one is not known."""
    return float(np.mean([np.nan if value is None else value for value in values]))
