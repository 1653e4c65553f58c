"""The end of a benchmark's page: every run, and how all of it was made."""

from __future__ import annotations

import json

import triplenet
from triplenet.benchmark.execution import Benchmark
from triplenet.benchmark.plan import Plan, code_version
from triplenet.evaluation.method_tables import title_of
from triplenet.evaluation.outside_paper import MARK
from triplenet.pages.components import commands, decimal, pairs, table
from triplenet.pages.markup import Markup, element
from triplenet.pages.page import Section, section
from triplenet.relative_paths import argument_shown
from triplenet.training.recipe import differences


def runs_section(found: Benchmark) -> Section:
    """Every run: how it ended, how long it took; and what was not run."""
    rows: list[tuple[str, list[Markup]]] = []
    for job in found.plan.jobs():
        run, failure = found.runs.get(job), found.failures.get(job)
        place = [element("td", str(job.fold), class_="number"), element("td", str(job.seed), class_="number")]
        if run is not None:
            info = run.info
            state = (
                "finished"
                + (f", gone on with {info.resumed} times" if info.resumed > 1 else "")
                + (", gone on with once" if info.resumed == 1 else "")
            )
            cells = [
                element("td", state),
                element("td", str(info.epochs), class_="number"),
                element("td", "–" if info.best_epoch is None else str(info.best_epoch + 1), class_="number"),
                element("td", decimal(info.validation.get("accuracy"), 3), class_="number"),
                element("td", f"{info.seconds or 0:.0f}", class_="number"),
            ]
        else:
            text = "not finished" if failure is None else f"failed: {failure.code}: {failure.text}"
            cells = [element("td", element("strong", text)), *[element("td", "–", class_="number")] * 4]
        rows.append((title_of(job.method), [*place, *cells]))
    for one in found.plan.not_run:
        why = element("td", f"not run: {one.reason}")
        rows.append((title_of(one.method), [*[element("td")] * 2, why, *[element("td")] * 4]))
    grid = table(
        ["method", "fold", "seed", "", "epochs", "kept epoch", "validation accuracy", "seconds"], rows, label="All runs"
    )
    return section("runs", "Runs", element("details", element("summary", f"All {len(rows)}"), grid))


def making_section(found: Benchmark, command: str, seconds: float | None) -> Section:
    """The command, and the hashes and settings of whatever decided the numbers.

    :param command: to copy; empty: none is shown
    :param seconds: that this call took
    """
    plan = found.plan
    trained = found.trained or found.runs
    encoders = dict.fromkeys(
        f"{run.info.encoder.name}, SHA-256 {run.info.encoder.sha256}"
        for run in trained.values()
        if run.info.encoder is not None
    )
    versions = dict.fromkeys(
        ", ".join(f"{name} {version}" for name, version in run.info.versions.items()) for run in trained.values()
    )
    hardware = dict.fromkeys(run.info.hardware.name for run in trained.values())
    info = plan.prepared.info
    version, _, code = code_version().partition(" ")
    values = {
        "Prepared set": f"SHA-256 {info.sha256}",
        "Cohort table": f"SHA-256 {info.cohort_sha256}",
        "Window": f"{info.window_hu[0]:g} to {info.window_hu[1]:g} HU, images of {info.size} pixels",
        "Folds": f"scheme {info.fold_scheme}; "
        + "; ".join(f"fold {number} SHA-256 {plan.prepared.fold(number).sha256[:16]}…" for number in plan.folds),
        "Recipe": " ".join(map(argument_shown, [plan.source, *plan.settings])),
        **_variants(plan),
        **_comparators(plan),
        "Encoder": "; ".join(encoders) or ("random weights" if plan.recipes else "none"),
        "Code": f"triplenet {version}, sources SHA-256 {code}",
        "Versions": "; ".join(versions) or triplenet.__version__,
        "Computed on": "; ".join(hardware) + f"; {found.where}",
    }
    if seconds is not None:
        values["This call took"] = f"{seconds:.0f} s"
    return section(
        "making",
        "How it was made",
        commands([command]) if command else Markup(""),
        pairs(values, "Recipe and hashes"),
        _recipes(plan),
    )


def _recipes(plan: Plan) -> Markup:
    """The first method's recipe, and how the others' differ."""
    if not plan.recipes:
        return Markup("")
    (leading_name, first), *others = plan.recipes.items()
    own = {
        name: "; ".join(differences(first.shown() | {"method": recipe.method}, recipe.shown()))
        for name, recipe in others
    }
    recipe = json.dumps(first.shown(), indent=2, ensure_ascii=False)
    return element(
        "details",
        element("summary", f"The whole recipe of {title_of(leading_name)}; the others' differ as listed"),
        element("pre", element("code", recipe), tabindex=0),
        pairs({title_of(name): text or "nothing but the method" for name, text in own.items()}, "Other recipes")
        if own
        else None,
    )


def _variants(plan: Plan) -> dict[str, str]:
    told = "; ".join(f"{name}: {one.shown}" for name, one in plan.variants.items())
    return {"Variants": told} if told else {}


def _comparators(plan: Plan) -> dict[str, str]:
    told = "; ".join(f"{title_of(name).removesuffix(MARK)}: {one.shown}" for name, one in plan.comparators.items())
    return {"Comparators outside the paper": told} if told else {}
