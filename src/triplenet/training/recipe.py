"""The recipe: everything that decides a training, as one validated object.

A recipe starts from a preset (``default``, ``quick`` or ``paper``), takes over what a TOML file says, then single
settings such as ``training.epochs=100``. Unknown keys are refused with the nearest known one. Loads without torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from triplenet import catalog
from triplenet.catalog import MapMeasure
from triplenet.errors import BadRecipe, PathMissing
from triplenet.losses.loss_options import LossOptions
from triplenet.model.card import SMALLEST_CROP
from triplenet.toml_text import NotToml, parse_toml, read_toml

PRESETS = ("default", "quick", "paper")


if TYPE_CHECKING:
    from triplenet.prepare.store import PreparedInfo


class _Section(BaseModel):
    # Strict: "32" is not a batch size, and true is not an epoch.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class EncoderRecipe(_Section):
    """Where the encoder's first weights come from."""

    weights: str = "imagenet"
    """``imagenet``, ``none`` (random), or the path of a file with torchvision's key names."""


class AugmentationRecipe(_Section):
    """How the copies of an image that training sees differ from it."""

    crop: int = Field(0, ge=0)
    """Side of the square that is cut out at random, pixels; also the network's input in evaluation. 0: it follows the
    prepared images, 224 of 256 as in the paper, and frames whole."""
    rotation_degrees: float = Field(90.0, ge=0, le=180)
    """The angle is uniform in -rotation_degrees..rotation_degrees."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability of a left-right flip."""
    brightness: float = Field(0.2, ge=0, lt=1)
    """The grey value is multiplied by a factor uniform in 1 - brightness..1 + brightness."""
    scale: tuple[float, float] = Field((1.0, 1.0), strict=False)
    """Zoom, uniform between the two; 1, 1 is none, as in the paper."""
    mean: Literal["pixel", "scalar"] = "pixel"
    """What is subtracted: the training fold's mean image, or one number."""

    @model_validator(mode="after")
    def _positive_scale(self) -> Self:
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError("scale must be two positive numbers, the smaller first")
        return self


class TrainingRecipe(_Section):
    """The optimisation."""

    epochs: int = Field(1000, gt=0)
    """Also the length of the curriculum: lambda goes from 1 to 1 / epochs."""
    batch: int = Field(32, gt=0)
    """Patients a step; with two views, twice as many images."""
    micro_batch: int | Literal["auto", "whole"] = "auto"
    """Patients computed at once, which decides the memory and not the step; ``auto``: the whole batch, 4 in 3D."""
    learning_rate: float = Field(1e-3, gt=0)
    optimiser: Literal["adam"] = "adam"
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["none", "cosine", "linear"] = "none"
    """Of the learning rate: constant, or down to zero by a half cosine or a line; set once an epoch."""
    warmup_epochs: int = Field(0, ge=0)
    """Over which the learning rate rises linearly to where the schedule begins."""
    seed: int = Field(0, ge=0, lt=2**63)
    drop_last: bool = True
    """Leave out an epoch's last, short batch; never when it is the only one."""
    without_mask: Literal["use", "refuse"] = "use"
    """A training patient without a whole mask, for a method that learns from masks: unlabelled pixels take part in no
    segmentation term, or the training is refused."""
    mask_share: float = Field(1.0, gt=0, le=1)
    """Share of the training patients with a mask whose mask is used, one at least, drawn by the seed: a smaller share's
    are among a larger one's. The others count as unlabelled."""
    patients: int = Field(0, ge=0)
    """Training patients with a finding that are used, drawn by the seed within the classes; 0: all, and those without a
    finding that teach the method something."""
    sampler: Literal["shuffle", "balanced"] = "shuffle"
    """Every patient once an epoch, or as many draws with every class equally often."""
    keep: Literal["best", "last", "best-auc"] = "best"
    """Which weights become the model: best validation accuracy (the earlier epoch on a tie), last epoch, best AUC."""
    patience: int = Field(0, ge=0)
    """Stop after so many epochs without a better score of ``keep``; 0 never stops early."""
    average: Literal["none", "ema", "swa"] = "none"
    """Validate and keep averaged weights: an exponential average over steps, or the mean over the last epochs."""
    average_decay: float = Field(0.999, ge=0, lt=1)
    """Of the exponential average, a step."""
    average_from: float = Field(0.75, ge=0, lt=1)
    """The share of the epochs after which the mean begins."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of the network's passes; ``auto`` is bf16 on a GPU that has it, else fp32. Weights and losses are fp32 always."""
    compile: bool = False
    """Compile the network with torch.compile; on a GPU with CUDA graphs."""
    cuda_graph: bool = False
    """Record a whole step (augmentation, passes, losses, Adam) as one CUDA graph and play it back; of one process on a
    GPU. With ``compile`` what is recorded is the compiled network's."""
    temperature: bool = False
    """Fit a temperature on the validation patients and write it into the model file; ``predictions.csv`` stays as the
    network says."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if isinstance(self.micro_batch, int) and self.micro_batch < 1:
            raise ValueError("micro_batch must be auto, whole or 1 or more")
        if self.mask_share < 1 and self.without_mask == "refuse":
            raise ValueError("mask_share leaves masks out, which without_mask = refuse forbids")
        if self.patience and self.keep == "last":
            raise ValueError("patience needs a score to wait for: keep best or best-auc")
        return self


class EvaluationRecipe(_Section):
    """What the network reads outside training."""

    crop: Literal["centre", "whole"] = "centre"
    """The middle of the image, as large as the training's crop, or all of it."""
    primary_map_measure: MapMeasure = "energy_in_lesion"
    """By which heat maps are compared first: declared before there is a map, it stays with the run."""


class Recipe(_Section):
    """One training, apart from its data, task and fold."""

    method: str
    encoder: EncoderRecipe = EncoderRecipe()
    network: dict[str, JsonValue] = {}
    """The method's own options; see ``triplenet methods``."""
    loss: LossOptions = Field(LossOptions(), strict=False)
    augmentation: AugmentationRecipe = AugmentationRecipe()
    training: TrainingRecipe = TrainingRecipe()
    evaluation: EvaluationRecipe = EvaluationRecipe()

    def dump(self) -> dict[str, JsonValue]:
        """Plain values, for JSON."""
        values: dict[str, JsonValue] = self.model_dump(mode="json")
        return values

    def shown(self) -> dict[str, JsonValue]:
        """As results carry it: of the encoder's file only the name."""
        shown = self.encoder.model_copy(update={"weights": Path(self.encoder.weights).name})
        return self.model_copy(update={"encoder": shown}).dump()

    def for_images(self, info: PreparedInfo) -> Recipe:
        """The recipe with what follows the prepared set filled in: the crop.

        :raises BadRecipe: the crop is larger than the images, or less than a network reads
        """
        volume = catalog.method(self.method).dimensions == 3
        if volume and not info.frames:
            return self  # what lacks is said where the frames are wanted
        size = info.frame_size if volume else info.size
        crop = self.augmentation.crop or (size if volume else min(size, max(SMALLEST_CROP, round(size * 7 / 8))))
        if crop > size:
            option = "--frame-size" if volume else "--size"
            raise BadRecipe(
                f"augmentation.crop: {crop} is larger than the prepared images, {size} x {size}",
                do=f"leave it out, say --set augmentation.crop={size} or less, or prepare with {option} {crop} or more",
            )
        if crop < SMALLEST_CROP:
            raise BadRecipe(
                f"augmentation.crop: {crop} is less than {SMALLEST_CROP} pixels, the least that a network reads",
                do="choose a larger one, or prepare larger images",
            )
        return self.model_copy(update={"augmentation": self.augmentation.model_copy(update={"crop": crop})})

    @classmethod
    def of_dump(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe that ``dump`` wrote.

        :raises BadRecipe: a key or value is not known or not possible
        """
        return _validated(values, where="the stored recipe")


def load_recipe(
    source: str | Path | Recipe = "default",
    *,
    method: str | None = None,
    settings: Sequence[str] = (),
    encoder: str | Path | None = None,
) -> Recipe:
    """A recipe from a preset's name or a TOML file, with single settings on top.

    :param source: a recipe is taken as it is, with the settings on top
    :param method: overrides the one in the file
    :param settings: ``section.key=value``, values as in TOML; a value that is not TOML is taken as text
    :param encoder: short for the setting ``encoder.weights``
    :raises BadRecipe: a key or value is not known or not possible
    :raises PathMissing: there is no such file
    :raises UnknownName: no method has this name
    """
    merged, where = _base(source)
    if isinstance(source, Recipe) and method not in (None, source.method):
        merged.pop("network")  # another method has other options
    for setting in settings:
        merged = _merge(merged, _parse_setting(setting))
    if encoder is not None:
        merged = _merge(merged, {"encoder": {"weights": str(encoder)}})
    if method is not None:
        merged["method"] = method
    if "method" not in merged:
        raise BadRecipe("no method is named", where=where, do=f"choose one of {', '.join(catalog.METHODS)}")
    return _validated(merged, where=where)


def _base(source: str | Path | Recipe) -> tuple[dict[str, Any], str]:
    """What a recipe starts from, and how messages call it."""
    if isinstance(source, Recipe):
        return dict(source.dump()), "the recipe"
    values: dict[str, Any] = {}
    where: str = str(source)
    if where not in PRESETS:
        path = Path(source)
        if not path.is_file():
            raise PathMissing(
                "no such recipe", where=repr(where), do=f"name a TOML file or one of {', '.join(PRESETS)}"
            )
        values = _read_toml(path)
        preset = values.pop("preset", "default")
        if preset not in PRESETS:
            raise BadRecipe(f"unknown preset {preset!r}", where=where, do=f"choose one of {', '.join(PRESETS)}")
    else:
        preset, where = where, f"recipe {where!r}"
    return _merge(_preset(preset), values), where


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Each key whose value differs between two dumps: ``training.epochs: 10, not 20``."""
    for key in sorted({*ours, *theirs}):
        left, right = ours.get(key), theirs.get(key)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            yield from differences(left, right, f"{prefix}{key}.")
        elif left != right:
            yield f"{prefix}{key}: {left!r}, not {right!r}"


def _preset(name: str) -> dict[str, Any]:
    text = resources.files("triplenet.training").joinpath("recipes", f"{name}.toml").read_text(encoding="utf-8")
    return parse_toml(text)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except NotToml as error:
        raise BadRecipe(f"not a TOML file ({error})", where=path) from error


def _parse_setting(setting: str) -> dict[str, Any]:
    key, equals, text = setting.partition("=")
    if not equals or not re.fullmatch(r"[\w-]+(\.[\w-]+)*", key.strip()):
        raise BadRecipe("a setting must read section.key=value", where=repr(setting))
    value: Any = text.strip()
    try:
        parsed = parse_toml(f"value = {text}")
        if set(parsed) == {"value"}:
            value = parsed["value"]
    except NotToml:
        pass  # not TOML: text, so that a shell user can write training.keep=last
    for part in reversed(key.strip().split(".")):
        value = {part: value}
    nested: dict[str, Any] = value
    return nested


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def _validated(values: Mapping[str, Any], where: str) -> Recipe:
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise _bad_recipe(error, where, known=_known_keys(Recipe)) from error
    terms = catalog.method(recipe.method).terms
    for name in recipe.loss.weights.others:
        if name not in terms:
            raise _unknown_key(f"loss.weights.{name}", where, _known_keys(Recipe))
    return recipe.model_copy(update={"network": _network_options(recipe, where)})


def _network_options(recipe: Recipe, where: str) -> dict[str, JsonValue]:
    """The method's options with every default filled in, so that a run says what it was made with."""
    from triplenet import networks

    model = networks.options_model(recipe.method)
    try:
        options: dict[str, JsonValue] = model.model_validate(recipe.network).model_dump(mode="json")
    except ValidationError as error:
        known = [f"network.{key}" for key in _known_keys(model)]
        raise _bad_recipe(error, where, known=known, prefix="network.") from error
    return options


def _known_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys += _known_keys(field.annotation, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return keys


def _bad_recipe(error: ValidationError, where: str, *, known: Sequence[str], prefix: str = "") -> BadRecipe:
    first = error.errors()[0]
    key = prefix + ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        text = first["msg"].removeprefix("Value error, ")
        return BadRecipe(f"{key}: {text[:1].lower()}{text[1:]}, not {first['input']!r}", where=where)
    return _unknown_key(key, where, known, section=isinstance(first["input"], Mapping))


def _unknown_key(key: str, where: str, known: Sequence[str], *, section: bool = False) -> BadRecipe:
    sections = {name[:stop] for name in known for stop, letter in enumerate(name) if letter == "."}
    candidates = sorted(sections) if section else list(known)
    nearest = _nearest(key, candidates)
    if nearest is not None:
        return BadRecipe(f"unknown key {key!r}", where=where, do=f"did you mean {nearest!r}?")
    within = key.rpartition(".")[0]
    siblings = [name for name in known if name.rpartition(".")[0] == within] or sorted(sections)
    return BadRecipe(f"unknown key {key!r}", where=where, do=f"known are {', '.join(siblings)}")


def _nearest(key: str, known: Sequence[str]) -> str | None:
    """By the whole dotted key, else by its last part: ``epochs`` finds ``training.epochs``."""
    last = key.rpartition(".")[2]
    ends = {name.rpartition(".")[2]: name for name in reversed(known)}
    if last in ends:
        return ends[last]
    near = get_close_matches(key, known, n=1, cutoff=0.75)
    if near:
        return near[0]
    begins = [name for end, name in ends.items() if end.startswith(last)]
    if begins:
        return begins[0]
    near = get_close_matches(last, ends, n=1)
    return ends[near[0]] if near else None
