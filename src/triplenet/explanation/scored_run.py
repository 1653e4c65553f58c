"""What the maps of a run are worth: its test patients' against the lesions, and what the network answers when asked.

Every map is compared with the lesion on all test patients. To ask the network about a map costs some hundred
evaluations, so that is done for the first test patients of the fold only, and the randomisation of its parameters for
the first of these. Kept beside the runs as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from triplenet.catalog import MAP_PATIENTS
from triplenet.explanation.cases import BATCH
from triplenet.explanation.decision_following import explainer, follows_decision
from triplenet.explanation.faithfulness import FRACTIONS, baseline_image, classifier, faithfulness
from triplenet.explanation.labelled_maps import CLASS, OWN, labelled_maps
from triplenet.explanation.map_scores import score_map
from triplenet.explanation.maps import classify_and_explain, network_inputs
from triplenet.explanation.randomisation import (
    ORDERS,
    Stage,
    chance_level,
    complexity_rise,
    passed,
    predicted,
    randomise_parameters,
    smoothed_maps,
)
from triplenet.explanation.reference_maps import mean_lesion, noise_seed, reference_maps
from triplenet.prepare.store import PreparedSet

if TYPE_CHECKING:
    from triplenet.model import Model

Bytes = npt.NDArray[np.uint8]

#: The map of a second reader, where the cohort has one.
SECOND_READER = "second-reader"
#: Patients whose maps are compared with each other, to know how alike they are by chance.
LEAST_COMPARED = 8
SCORED_VERSION = 2
"""Of what is computed here: kept scores of another are done anew"""


@dataclass(frozen=True)
class ScoreOptions:
    """How much is asked."""

    asked: int = MAP_PATIENTS
    """Test patients a run about whose maps the network is asked; 0: none"""
    randomised: int = 8
    """Of these, how many the randomisation of the parameters is looked at with; 0: none"""
    copies: int = 10
    """Noisy copies of an image in the smoothed form of the randomisation"""
    seed: int = 0

    def for_dimensions(self, dimensions: int) -> ScoreOptions:
        """Of volumes, which cost as much as their frames, a quarter as many; rounded up."""
        if dimensions == 2:
            return self
        return replace(self, **{name: -(-getattr(self, name) // 4) for name in ("asked", "randomised", "copies")})


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ScoredMap(_Kept):
    """A map of a patient against the lesion."""

    patient: str
    map: str
    """``own``, ``class``, ``segmentation``, ``second-reader``; or one of ``reference_maps``"""
    scores: dict[str, float | None]
    """By the fields of ``MapScores``"""


class AskedMap(_Kept):
    """What the network answers about a map of a patient."""

    patient: str
    map: str
    fractions: tuple[float, ...]
    """Of the pixels changed"""
    curves: dict[str, tuple[float, ...]]
    """Probability of the class explained: ``most`` and ``least`` relevant imputed, ``deletion``, ``insertion``"""
    road: float
    deletion: float
    insertion: float
    follows_noise: float | None
    """Correlation of the map's change with the probability's"""
    follows_occlusion: float | None


class RandomisedStage(_Kept):
    """How alike the maps still are once this module, and those before it, are random."""

    module: str
    ssim: float
    spearman: float | None


class Randomisation(_Kept):
    """Whether the own map depends on what was learned."""

    patients: int
    top_down: tuple[RandomisedStage, ...]
    bottom_up: tuple[RandomisedStage, ...]
    smoothed: tuple[RandomisedStage, ...]
    """Top-down, of means over noisy copies"""
    chance_ssim: float
    """95th percentile over pairs of different patients' maps"""
    chance_spearman: float | None
    smoothed_chance_ssim: float
    smoothed_chance_spearman: float | None
    passed: bool
    smoothed_passed: bool
    complexity_rise: float | None
    """Of the efficient form"""


class ScoredRun(_Kept):
    """All of one run."""

    fingerprint: str
    """Of whatever decides it"""
    maps: tuple[ScoredMap, ...]
    asked: tuple[AskedMap, ...] = ()
    randomisation: Randomisation | None = None
    ms_a_patient: float = 0.0
    """Median, for the probabilities and all maps"""
    evaluations_a_patient: float | None = None
    """Of the network, mean; None where they were not counted"""


def score_run(
    model: Model, prepared: PreparedSet, patients: Sequence[str], options: ScoreOptions, fingerprint: str = ""
) -> ScoredRun:
    """Score the maps of a model.

    :param patients: with a finding, in the fold's order
    :raises BadModel: a probability or a map is not finite
    """
    options = options.for_dimensions(model.card.dimensions)
    rows = prepared.rows(list(patients)).tolist()
    maps: list[ScoredMap] = []
    seconds, evaluations = [], []
    for found in labelled_maps(model, prepared, rows):
        seconds.append(found.seconds)
        evaluations.append(found.evaluations)
        maps += _scored(prepared, found.row, found.maps)
    asked = tuple(_asked(model, prepared, rows[: options.asked], options)) if options.asked else ()
    checked = rows[: min(options.asked, options.randomised)]
    compared = rows[: max(options.asked, LEAST_COMPARED)]
    return ScoredRun(
        fingerprint=fingerprint,
        maps=tuple(maps),
        asked=asked,
        randomisation=(
            _randomisation(model, prepared, checked, compared, options) if checked and len(compared) > 1 else None
        ),
        ms_a_patient=1000 * float(np.median(seconds)) if seconds else 0.0,
        evaluations_a_patient=float(np.mean(evaluations)) if evaluations else None,
    )


def score_references(
    prepared: PreparedSet, patients: Sequence[str], training: Sequence[str], crop: int, *, seed: int = 0
) -> tuple[ScoredMap, ...]:
    """The maps that see nothing of a network, of the same patients, and a second reader's mask where there is one.

    :param training: patients whose lesions make the mean one
    :param crop: side of the square that networks read; there is nothing outside
    """
    known = [row for row in prepared.rows(list(training)).tolist() if prepared.patients[row].labelled != "none"]
    mean = mean_lesion(np.asarray(prepared.masks[row]) for row in known) if known else None
    edge = (prepared.info.size - crop) // 2
    inside = np.zeros((prepared.info.size, prepared.info.size), dtype=np.float32)
    inside[edge : edge + crop, edge : edge + crop] = 1
    scored: list[ScoredMap] = []
    for row in prepared.rows(list(patients)).tolist():
        lung, name = prepared.lung(row), prepared.patients[row].patient
        maps = reference_maps(np.asarray(prepared.images[row]), lung, mean, seed=noise_seed(name, seed))
        second = prepared.second_lesion(row)
        if second is not None:
            maps[SECOND_READER] = second.astype(np.float32)
        scored += _scored(prepared, row, {name: one * inside for name, one in maps.items()})
    return tuple(scored)


def _scored(prepared: PreparedSet, row: int, maps: dict[str, npt.NDArray[np.float32]]) -> Iterator[ScoredMap]:
    lesion, lung = prepared.lesion(row), prepared.lung(row)
    for name, heat in maps.items():
        scores = asdict(score_map(heat, lesion, lung))
        yield ScoredMap(patient=prepared.patients[row].patient, map=name, scores=scores)


def _asked(model: Model, prepared: PreparedSet, rows: Sequence[int], options: ScoreOptions) -> Iterator[AskedMap]:
    """Each patient's own map and the evidence for the class, where that is another; of the class predicted."""
    fill, crop = baseline_image(model), model.card.crop
    for row in rows:
        image, lungs = network_inputs(model, prepared, [row])
        inside = None if lungs is None else lungs[0]
        batch = BATCH[model.card.dimensions]
        explained = classify_and_explain(model, image, lungs)
        target = int(explained.probabilities[0].argmax())
        maps = {OWN: explained.heat, CLASS: explained.class_heat}
        classify = classifier(model, lungs=inside, batch=batch)
        for name, heat in maps.items():
            if heat is None:
                continue
            faithful = faithfulness(
                classify, image[0], heat[0], target, fill=fill, seed=options.seed, fractions=FRACTIONS, crop=crop
            )
            follows = follows_decision(
                explainer(model, lungs=inside, batch=batch, of_class=name == CLASS),
                image,
                np.array([target]),
                fill=fill,
                seed=options.seed,
                crop=crop,
            )
            yield AskedMap(
                patient=prepared.patients[row].patient,
                map=name,
                fractions=faithful.fractions,
                curves={
                    "most": faithful.road_most_relevant,
                    "least": faithful.road_least_relevant,
                    "deletion": faithful.deletion_curve,
                    "insertion": faithful.insertion_curve,
                },
                road=faithful.road,
                deletion=faithful.deletion,
                insertion=faithful.insertion,
                follows_noise=follows.noise.structure.values[0],
                follows_occlusion=follows.occlusion.structure.values[0],
            )


def _randomisation(
    model: Model, prepared: PreparedSet, rows: Sequence[int], compared: Sequence[int], options: ScoreOptions
) -> Randomisation:
    """:param compared: patients whose maps are compared with each other"""
    images, lungs = network_inputs(model, prepared, rows)
    seed, batch = options.seed, BATCH[model.card.dimensions]
    top_down, bottom_up = (
        randomise_parameters(model, images, order=order, seed=seed, lungs=lungs, batch=batch) for order in ORDERS
    )
    smoothed = randomise_parameters(
        model, images, order="top-down", seed=seed, lungs=lungs, copies=options.copies, batch=batch
    )
    others, lungs_of_others = network_inputs(model, prepared, compared)
    chosen = predicted(model, others, lungs=lungs_of_others, batch=batch)
    chance, smoothed_chance = (
        chance_level(
            smoothed_maps(model, others, chosen, seed=seed, lungs=lungs_of_others, copies=copies, batch=batch),
            seed=seed,
        )
        for copies in (0, options.copies)
    )
    return Randomisation(
        patients=len(rows),
        top_down=_told(top_down),
        bottom_up=_told(bottom_up),
        smoothed=_told(smoothed),
        chance_ssim=chance.ssim,
        chance_spearman=chance.spearman,
        smoothed_chance_ssim=smoothed_chance.ssim,
        smoothed_chance_spearman=smoothed_chance.spearman,
        passed=passed(top_down, chance),
        smoothed_passed=passed(smoothed, smoothed_chance),
        complexity_rise=complexity_rise(model, images, seed=seed, lungs=lungs, batch=batch).rise,
    )


def _told(stages: Sequence[Stage]) -> tuple[RandomisedStage, ...]:
    return tuple(
        RandomisedStage(module=stage.name, ssim=stage.similarity.ssim, spearman=stage.similarity.spearman)
        for stage in stages
    )
