"""What a benchmark consists of: methods x folds x seeds, each an independent training with a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import cast

from pydantic import JsonValue

import triplenet
from triplenet import catalog
from triplenet.benchmark.comparators import Comparator, plan_comparators
from triplenet.benchmark.variants import Variant, parse_variants
from triplenet.catalog import ALL, MapMeasure, Task
from triplenet.cohort.folds import FOLDS
from triplenet.errors import BadPreparedSet, BadRecipe, UnknownName
from triplenet.prepare.store import PreparedSet
from triplenet.relative_paths import argument_shown
from triplenet.training.job import Job
from triplenet.training.recipe import Recipe, load_recipe

#: What decides the result of a training, given its recipe and data.
DECIDING = ("catalog.py", "model", "losses", "networks", "training")
_OF_A_METHOD = ":"
#: Means no method, where methods are named: comparators alone.
NONE = "none"


@dataclass(frozen=True)
class NotRun:
    """A method, a variant of one or a comparator that this prepared set does not allow."""

    method: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """Everything that decides a benchmark's runs."""

    prepared: PreparedSet
    task: Task
    recipes: Mapping[str, Recipe]
    """By method or variant, in the order of the tables; the seed is the job's"""
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    not_run: tuple[NotRun, ...] = ()
    source: str = "default"
    """The recipe, as it was named"""
    settings: tuple[str, ...] = field(default=())
    encoders: Mapping[str, str] = field(default_factory=dict)
    """Method -> SHA-256 of the file that its encoder starts from, or ``none``; those that are known"""
    variants: Mapping[str, Variant] = field(default_factory=dict)
    """Name -> variant, those that do not run among them; where a method's name stands, a variant's may stand too"""
    comparators: Mapping[str, Comparator] = field(default_factory=dict)
    """Name -> what is compared with the methods and is none; asked after the trainings, last in the tables"""

    @property
    def methods(self) -> tuple[str, ...]:
        """Rows that run: methods and variants, which are trained, then comparators."""
        return (*self.recipes, *self.comparators)

    @property
    def order(self) -> tuple[str, ...]:
        """Every name that a table may show: a method, then its variants as they were given; comparators last."""
        known = (*_with_variants(catalog.METHODS, self.variants), *self.comparators)
        return (*known, *(one.method for one in self.not_run if one.method not in known))

    @property
    def steps(self) -> tuple[tuple[str, str], ...]:
        """Each variant that runs with the row before it, which is its method's or another variant of that."""
        rows = pairwise(self.methods)
        return tuple((name, before) for before, name in rows if name in self.variants and self._alike(before, name))

    def _alike(self, one: str, other: str) -> bool:
        return self.recipes[one].method == self.recipes[other].method

    def catalog_method(self, name: str) -> catalog.Method:
        """The method of a row: itself, or of which it is a variant."""
        return catalog.method(self.variants[name].method if name in self.variants else name)

    def shown_variants(self) -> dict[str, JsonValue]:
        """As files and results carry them: name -> its method and settings."""
        return {
            name: {"method": one.method, "settings": [argument_shown(setting) for setting in one.settings]}
            for name, one in self.variants.items()
        }

    def shown_comparators(self) -> dict[str, JsonValue]:
        """As files and results carry them: name -> what it is, in words."""
        return {name: one.shown for name, one in self.comparators.items()}

    @property
    def primary_map_measure(self) -> MapMeasure:
        """By which heat maps are compared first; all methods start from one recipe, and there must be one."""
        return next(iter(self.recipes.values())).evaluation.primary_map_measure

    def jobs(self) -> Iterator[Job]:
        """All of them, the trainings first."""
        yield from self.trainings()
        yield from self.comparator_jobs()

    def trainings(self) -> Iterator[Job]:
        """Fold after fold, so that what is there early can already be compared."""
        return self._jobs_of(self.recipes)

    def comparator_jobs(self) -> Iterator[Job]:
        """What is asked once the trainings are done."""
        return self._jobs_of(self.comparators)

    def _jobs_of(self, names: Iterable[str]) -> Iterator[Job]:
        return (Job(name, fold, seed) for seed in self.seeds for fold in self.folds for name in names)

    def recipe(self, job: Job) -> Recipe:
        """The method's recipe with the job's seed."""
        recipe = self.recipes[job.method]
        return recipe.model_copy(update={"training": recipe.training.model_copy(update={"seed": job.seed})})

    def fingerprint(self, job: Job, encoder: JsonValue = None) -> dict[str, JsonValue]:
        """What a finished run must agree in to be kept: recipe, data, task, code, and the encoder's first weights.

        :param encoder: what stands for those weights where their file is not at hand
        """
        recipe = self.recipe(job).dump()
        # The file counts by what it holds, not by how its path is written.
        recipe.pop("encoder")
        # By what its maps will be compared is declared with a run and changes nothing of it.
        cast("dict[str, JsonValue]", recipe["evaluation"]).pop("primary_map_measure")
        return {
            "recipe": recipe,
            "encoder": self.encoders.get(job.method, encoder),
            "data": self.prepared.info.sha256,
            "fold": self.prepared.fold(job.fold).sha256,
            "task": {
                "classes": list(self.task.classes),
                "findings": dict(self.task.findings),
                "positive": list(self.task.positive),
            },
            "code": code_version() + outside_code(self.catalog_method(job.method).name),
        }


def make_plan(
    prepared: PreparedSet,
    task: Task,
    methods: Sequence[str] = (ALL,),
    *,
    folds: Sequence[int] = FOLDS,
    seeds: Sequence[int] = (0,),
    recipe: Recipe | Path | str = "default",
    settings: Sequence[str] = (),
    variants: Sequence[str] = (),
    comparators: Sequence[str] = (),
    features: Sequence[Path | str] = (),
) -> Plan:
    """Plan a benchmark.

    :param methods: names, or ``all``: then those that the prepared set does not allow are named with the reason; or
        ``none``, to look at comparators alone
    :param recipe: a preset or a TOML file; a method that it names does not count
    :param settings: ``section.key=value`` for all methods, ``method:section.key=value`` for one. A file of encoder
        weights for all methods is meant for those that have a 2D encoder, where there are both kinds
    :param variants: ``NAME=METHOD:section.key=value,section.key=value``: METHOD once more with other settings, on top
        of those of METHOD, as a row of its own behind it
    :param comparators: of ``outside_paper.KINDS``, or ``all``; see ``comparators``
    :param features: files of features to compare with, see ``features_file``
    :raises UnknownName: no such method or comparator
    :raises BadPreparedSet: a method or comparator that was named needs what the set does not hold
    :raises BadRecipe: a key or value is not known or not possible
    :raises UnknownFinding: a finding that the task does not name
    :raises BadInput, PathMissing: a file of features cannot be used
    """
    named = list(catalog.METHODS) if ALL in methods else [name for name in dict.fromkeys(methods) if name != NONE]
    for name in named:
        catalog.method(name)
    others = parse_variants(variants)
    method_of = {name: catalog.method(name) for name in named}
    method_of |= {name: catalog.method(one.method) for name, one in others.items()}
    lacking = {name: reason for name, method in method_of.items() if (reason := _lacks(prepared, method)) is not None}
    if lacking and ALL not in methods:
        name, reason = next(iter(lacking.items()))
        raise BadPreparedSet(f"{name} {reason}", where=prepared.folder, do="prepare it so, or leave the method out")
    if not set(folds) <= set(FOLDS) or not folds:
        raise UnknownName("no such fold", where=", ".join(map(str, folds)), do="choose among 1, 2 and 3")
    if not seeds or min(seeds) < 0:
        raise BadRecipe("a benchmark needs seeds of 0 or more", do="choose such as 0,1,2")
    labels = prepared.labels(task)
    everyone = _with_variants(catalog.METHODS, others)
    order = [name for name in everyone if name in method_of and name not in lacking]
    if method_of and not order:
        raise BadPreparedSet("no method can run on it", where=prepared.folder, do="; ".join(set(lacking.values())))
    shared, own = _sorted_out(settings)
    mixed = len({method_of[name].imagenet for name in order}) > 1
    recipes = {
        name: load_recipe(
            recipe,
            method=method_of[name].name,
            settings=[
                *[one for one in shared if method_of[name].imagenet or not (mixed and _is_encoder_file(one))],
                *own.get(method_of[name].name, ()),
                *(others[name].settings if name in others else ()),
            ],
        ).for_images(prepared.info)
        for name in order
    }
    beside, without = plan_comparators(comparators, features, prepared, labels >= 0, recipes)
    if not recipes and not beside:
        raise UnknownName("a benchmark of nothing", do="name methods, or comparators that the set allows")
    return Plan(
        prepared=prepared,
        task=task,
        recipes=recipes,
        folds=tuple(dict.fromkeys(folds)),
        seeds=tuple(dict.fromkeys(seeds)),
        not_run=tuple(NotRun(name, reason) for name, reason in (lacking | without).items()),
        source="a recipe" if isinstance(recipe, Recipe) else str(recipe),
        settings=tuple(settings),
        variants=others,
        comparators=beside,
    )


def digest(fingerprint: Mapping[str, JsonValue]) -> str:
    """Hexadecimal SHA-256 of a fingerprint."""
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()


@cache
def code_version() -> str:
    """The version, and the SHA-256 of the source of what decides a training."""
    found = hashlib.sha256()
    for name in DECIDING:
        for path, content in _sources(files("triplenet") / name, name):
            found.update(f"{path} {hashlib.sha256(content).hexdigest()}\n".encode())
    return f"{triplenet.__version__} {found.hexdigest()}"


@cache
def outside_code(method: str) -> str:
    """Of a method of another package: its version, and the SHA-256 of the source of that and of its loss terms."""
    from triplenet.losses.terms import TERMS

    found = catalog.method(method)
    modules = [found.module, *(getattr(TERMS[name], "__module__", "") for name in found.terms if name in TERMS)]
    outside = sorted({module.partition(".")[0] for module in modules} - {"triplenet", ""})
    if not outside:
        return ""
    hashed = hashlib.sha256()
    for package in outside:
        spec = find_spec(package)
        folders = [] if spec is None else list(spec.submodule_search_locations or ())
        alone = [] if spec is None or folders or spec.origin is None else [Path(spec.origin)]
        for path in (*alone, *sorted(file for folder in folders for file in Path(folder).rglob("*.py"))):
            hashed.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return f" {found.package} {hashed.hexdigest()}"


def _sources(place: Traversable, path: str) -> Iterator[tuple[str, bytes]]:
    if place.is_dir():
        for inside in sorted(place.iterdir(), key=lambda one: one.name):
            yield from _sources(inside, f"{path}/{inside.name}")
    elif place.name.endswith((".py", ".toml")):
        yield path, place.read_bytes()


def _with_variants(methods: Iterable[str], variants: Mapping[str, Variant]) -> Iterator[str]:
    for method in methods:
        yield method
        yield from (name for name, variant in variants.items() if variant.method == method)


def _lacks(prepared: PreparedSet, method: catalog.Method) -> str | None:
    if method.dimensions == 3 and prepared.frames is None:
        return "needs frames"
    if method.needs_masks and all(patient.labelled == "none" for patient in prepared.patients):
        return "needs masks"
    return None


def _is_encoder_file(setting: str) -> bool:
    key, _, value = setting.partition("=")
    return key.strip() == "encoder.weights" and value.strip() not in ("imagenet", "none")


def _sorted_out(settings: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Settings of all methods, and those of one by its name."""
    shared: list[str] = []
    own: dict[str, list[str]] = {}
    for setting in settings:
        name, colon, rest = setting.partition(_OF_A_METHOD)
        if colon and "=" not in name:
            own.setdefault(catalog.method(name.strip()).name, []).append(rest)
        else:
            shared.append(setting)
    return shared, own
