"""What the documents say leads somewhere: links, anchors, settings, options, and the numbers of the ten methods."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import typer.main

from triplenet import networks
from triplenet.benchmark import benchmark_files, scored_benchmark
from triplenet.catalog import INTENDED_USE, MAP_PATIENTS, METHODS
from triplenet.cli import app as module
from triplenet.cli.app import app
from triplenet.cli.methods import EXPLANATIONS
from triplenet.cohort.folds import Member, split
from triplenet.errors import TripleNetError
from triplenet.evaluation import map_strata, map_tables
from triplenet.evaluation.figures.map_scores_figure import ROAD, SCORES
from triplenet.evaluation.figures.probabilities_figure import BINS
from triplenet.evaluation.intervals import RESAMPLES
from triplenet.evaluation.paired_tests import FEW_DISCORDANT
from triplenet.evaluation.predictive_values import PREVALENCES
from triplenet.evaluation.sample_size import WIDTHS
from triplenet.evaluation.strata import FEW_OF_A_CLASS, FEW_PATIENTS
from triplenet.evaluation.thresholds import RULES
from triplenet.explanation import decision_following, imputation, randomisation
from triplenet.explanation.faithfulness import FRACTIONS
from triplenet.explanation.map_scores import TOLERANCE
from triplenet.explanation.scored_run import ScoreOptions
from triplenet.model.temperature import COLDEST, HOTTEST
from triplenet.prepare.leakage import NEAR
from triplenet.processes import unforeseen
from triplenet.training import load_recipe
from triplenet.training.recipe import Recipe, differences

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "benchmarks").rglob("*.md")),
]
METHODS_PAGE = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
NAMED_ELSEWHERE = re.compile(r"docs/[\w/-]+\.md(?:#[\w-]+)?")
SECTIONS = ("loss", "network", "encoder", "augmentation", "training", "evaluation")
SETTING = re.compile(rf"(?:([a-z0-9-]+):)?((?:{'|'.join(SECTIONS)})\.[\w.]+)(?:( = |=)(.+))?")
OPTION = re.compile(r"(--[a-z][a-z-]*)(?: ([^-\s]\S*))?")

# --- links ----------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """Those of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    names = set()
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))
    for heading in re.findall(r"(?m)^#{1,6} +(.+?) *#*$", text):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = found.get(slug, 0)
        found[slug] = number + 1
        names.add(f"{slug}-{number}" if number else slug)
    return names


def refuse_dead_end(source: Path, target: Path, anchor: str) -> None:
    assert target.exists(), f"{source.relative_to(ROOT)}: there is no {target}"
    assert not anchor or anchor in anchors(target), f"{source.relative_to(ROOT)}: {target.name} has no #{anchor}"


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        refuse_dead_end(page, (page.parent / path).resolve() if path else page, anchor)


def test_every_page_that_code_and_tests_cite_is_there() -> None:
    places = chain.from_iterable((ROOT / name).rglob("*") for name in ("src", "tests", "benchmarks"))
    cited = 0
    for path in (path for path in places if path.suffix in {".py", ".toml", ".md"}):
        for citation in NAMED_ELSEWHERE.findall(path.read_text(encoding="utf-8")):
            name, _, anchor = citation.partition("#")
            refuse_dead_end(path, ROOT / name, anchor)
            cited += 1
    assert cited > 5


def test_headings_that_stand_twice_have_anchors_of_their_own(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Triple Net + WSDL\n\n```sh\n# no heading\n```\n\n## A `b`, c\n\n## A `b`, c\n", encoding="utf-8")
    assert anchors(page) == {"triple-net--wsdl", "a-b-c", "a-b-c-1"}


# --- settings -------------------------------------------------------------------------------------


def spans(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", text)


def dump(method: str, *settings: str) -> dict[str, Any]:
    return load_recipe("default", method=method, settings=settings).dump()


def value_at(recipe: dict[str, Any], key: str) -> Any:
    value: Any = recipe
    for part in key.split("."):
        value = value[part]
    return value


def written_settings() -> Iterator[tuple[str | None, str, str | None, str | None]]:
    for span in spans(METHODS_PAGE):
        if whole := SETTING.fullmatch(span):
            method, key, sign, value = whole.groups()
            yield method, key, sign, value


def test_nothing_else_looks_like_a_setting() -> None:
    """A misspelt section would else be no setting, and pass."""
    dotted = {span for span in spans(METHODS_PAGE) if re.match(r"[\w:-]+\.\w+|[\w-]+:\w", span)}
    assert {span for span in dotted if not SETTING.fullmatch(span)} == {"timm:NAME"}


SETTINGS = sorted(set(written_settings()), key=str)


def test_the_page_names_settings_of_every_section() -> None:
    sections = {key.partition(".")[0] for _, key, _, _ in SETTINGS}
    assert sections == set(SECTIONS)


@pytest.mark.parametrize(("method", "key", "sign", "value"), SETTINGS)
def test_a_setting_exists_and_has_the_default_that_the_page_gives(
    method: str | None, key: str, sign: str | None, value: str | None
) -> None:
    defaults, refusals = [], []
    for name in [method] if method else METHODS:
        try:
            default = value_at(dump(name), key)
        except KeyError as error:
            refusals.append(error)
            continue
        if sign == "=":
            try:
                other = value_at(dump(name, f"{key}={value}"), key)
            except TripleNetError as error:  # ABN takes none of timm's encoders, other methods do
                refusals.append(error)
                continue
            assert other != default, f"{key}={value} is the default of {name}"
        defaults.append(default)
    assert defaults, f"{key}: {refusals}"
    if sign == " = ":
        assert tomllib.loads(f"v = {value}")["v"] in defaults


def test_every_choice_about_losses_and_networks_is_on_the_page() -> None:
    def keys(values: dict[str, Any], prefix: str) -> Iterator[str]:
        for name, value in values.items():
            yield from keys(value, f"{prefix}{name}.") if isinstance(value, dict) else (f"{prefix}{name}",)

    named = {key for _, key, _, _ in SETTINGS}
    recipe = Recipe(method="triple").dump()
    for section in ("loss", "augmentation", "evaluation", "encoder"):
        assert set(keys(recipe[section], f"{section}.")) <= named
    own = {(method, key) for method, key, _, _ in SETTINGS}
    for name in METHODS:
        for option in networks.options_model(name).model_fields:
            key = f"network.{option}"
            # Triple Net + WSDL has Triple Net's options, which has Double Net's.
            kin = {"double", "triple", "triple-wsdl"} if name in ("double", "triple", "triple-wsdl") else {name}
            assert any((method, key) in own for method in (None, *kin)), f"{name}: {key}"


def test_the_recipe_paper_differs_where_the_page_says() -> None:
    section = METHODS_PAGE.partition("### The recipe paper\n")[2].partition("\n## ")[0]
    said = {span for span in spans(section) if SETTING.fullmatch(span)}
    paper = load_recipe("paper", method="triple").dump()
    assert {line.partition(":")[0] for line in differences(paper, dump("triple"))} == {
        span.partition("=")[0] for span in said
    }
    for span in said:
        assert not list(differences(value_at_both(paper, span), value_at_both(dump("triple", span), span)))


def value_at_both(recipe: dict[str, Any], setting: str) -> dict[str, Any]:
    key = setting.partition("=")[0]
    return {key: value_at(recipe, key)}


# --- options --------------------------------------------------------------------------------------


def verbs() -> dict[str, dict[str, Any]]:
    command = typer.main.get_command(app)
    assert hasattr(command, "commands")
    return {
        name: {option: one for one in verb.params for option in (*one.opts, *one.secondary_opts)}
        for name, verb in command.commands.items()
    }


VERBS = verbs()


def written_options() -> Iterator[tuple[str | None, str, str | None]]:
    for span in spans(METHODS_PAGE):
        verb = match[1] if (match := re.match(r"triplenet ([a-z]+)", span)) else None
        for option, value in OPTION.findall(span):
            yield verb, option, value or None


@pytest.mark.parametrize(("verb", "option", "value"), sorted(set(written_options()), key=str))
def test_an_option_exists(verb: str | None, option: str, value: str | None) -> None:
    assert any(option in VERBS[name] for name in ([verb] if verb else VERBS)), option
    if value and verb:
        assert not getattr(VERBS[verb][option], "is_flag", False)


def test_every_verb_that_the_page_names_is_one() -> None:
    named = {match[1] for span in spans(METHODS_PAGE) if (match := re.match(r"triplenet ([a-z]+)", span))}
    assert {"prepare", "train", "evaluate", "benchmark", "explain", "predict"} <= named <= set(VERBS)


def decisions() -> list[tuple[str, str, str]]:
    section = METHODS_PAGE.partition("\n## Decisions\n")[2].partition("\n## ")[0]
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in section.splitlines() if "|" in line]
    return [(question, default, instead) for question, default, instead in rows[2:]]


@pytest.mark.parametrize(("question", "default", "instead"), decisions())
def test_a_decision_has_its_default_and_another_way(question: str, default: str, instead: str) -> None:
    assert spans(instead), question
    for span in spans(default):
        if setting := SETTING.fullmatch(span):
            assert setting[3] == " = "
            continue
        verb, option, value = re.fullmatch(r"triplenet ([a-z]+) (--\S+) (\S+)", span).groups()  # type: ignore[union-attr]
        assert str(VERBS[verb][option].default) == value
        assert re.fullmatch(rf"`triplenet {verb} {option} (?!{value}`)\S+`", instead), question
    for span in spans(instead):
        assert span.startswith("triplenet ") or SETTING.fullmatch(span)[3] == "="  # type: ignore[index]


# --- the ten methods ------------------------------------------------------------------------------


def test_the_table_of_the_methods_is_the_catalogs() -> None:
    rows = re.findall(r"(?m)^\| \[([^]]+)\]\(#[\w-]+\) \| (.+) \|$", METHODS_PAGE)
    assert [(title, cells.split(" | ")) for title, cells in rows] == [
        (
            method.title,
            [
                f"`{method.name}`",
                "frames" if method.dimensions == 3 else "slice",
                str(method.views),
                "yes" if method.needs_masks else "no",
                EXPLANATIONS[method.explanation],
                f"{method.parameters:,}",
            ],
        )
        for method in METHODS.values()
    ]


def test_every_method_has_its_section_and_its_objective() -> None:
    objectives = METHODS_PAGE.partition("### What each method minimises\n")[2].partition("\n## ")[0]
    words = {
        "classification": "cross-entropy",
        "branch": "of",
        "contrastive": "Eq. (4)",
        "segmentation": "Dice",
        "reconstruction": "squared error",
    }
    for method in METHODS.values():
        assert f"\n### {method.title}\n" in METHODS_PAGE
        (row,) = (line for line in objectives.splitlines() if f"`{method.name}`" in line)
        for term in method.terms:
            # Eq. (4) has the cross-entropy in it.
            assert words[term] in row or (term == "classification" and "Eq. (4)" in row), (method.name, term)


def test_the_numbers_of_the_evaluation_are_the_codes() -> None:
    for number in (
        f"{RESAMPLES:,} resamples",
        f"below {FEW_DISCORDANT} discordant",
        f"fewer than {FEW_PATIENTS} patients, or fewer than {FEW_OF_A_CLASS} of a class",
        f"between {COLDEST} and {HOTTEST:.0f}",
        f"a sensitivity of\n  {RULES[2].sensitivity:.0%}".replace("%", " %"),
        f"correlation of {NEAR}",
    ):
        assert number in METHODS_PAGE, number
    page = " ".join(METHODS_PAGE.split())
    *rarer, commonest = (f"{100 * prevalence:g}" for prevalence in PREVALENCES)
    assert f"a share of {', '.join(rarer)} and {commonest} % (`--prevalences`)" in page
    assert f"one of {' and of '.join(f'{100 * width:g}' for width in WIDTHS)} points would need (`--widths`)" in page
    assert f"in {BINS} bins, all test patients" in page


def test_the_numbers_of_the_maps_are_the_codes() -> None:
    asked, of_volumes = ScoreOptions(), ScoreOptions().for_dimensions(3)
    *levels, strongest = (f"{level:g}" for level in decision_following.NOISE_LEVELS)
    grid, draws = decision_following.GRID, decision_following.DRAWS
    sixth, twelfth = (f"1/{1 / weight:.0f}" for weight in (imputation.SIDE, imputation.CORNER))
    page = " ".join(METHODS_PAGE.split())
    assert (draws, len(FRACTIONS), f"{map_strata.OTHER_SIDE:.0%}") == (2, 9, "10%")
    for number in (
        f"{TOLERANCE * 224:g}/224 of the shorter side",
        f"first {MAP_PATIENTS} test patients of each run (`triplenet benchmark --map-patients {asked.asked}`;",
        f"the first {asked.randomised} of these",
        f"a quarter as many: {of_volumes.asked} and {of_volumes.randomised}.",
        f"over noisy copies, here {asked.copies} with noise of {randomisation.NOISE:g} grey levels",
        f"(their code has {randomisation.COPIES} copies; of volumes we take {of_volumes.copies})",
        f"the {randomisation.PERCENTILE:g}th percentile of pairs",
        f"histogram of {randomisation.BINS} bins",
        f"{FRACTIONS[0]:.0%} to {FRACTIONS[-1]:.0%} of what the network reads".replace("%", " %"),
        "mean over the nine fractions",
        f"eight neighbours ({sixth} beside, {twelfth} across)",
        f"noise of {imputation.NOISE:g} grey levels",
        f"noise of {', '.join(levels)} and {strongest} grey levels, twice each",
        f"one square of a {grid} x {grid} grid",
        f"All four curves of a map take {4 * len(FRACTIONS) + 2} images",
        f"({1 + draws * len(decision_following.NOISE_LEVELS) + grid**2} images a map)",
        f"slices below {map_strata.THIN_MM:g} mm, to {map_strata.THICK_MM:g} mm",
    ):
        assert number in page, number


def test_the_files_that_a_benchmark_writes_of_its_maps_are_named() -> None:
    page = METHODS_PAGE.partition("### What a benchmark asks of its maps\n")[2].partition("\n### ")[0]
    tables = ("SCORES", "ANSWERS", "RANDOMISED", "STRATA", "AGREEMENT", "REPEATED")
    for name in (*(getattr(map_tables, table) for table in tables), SCORES, ROAD):
        assert f"`{name}`" in page, name
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    architecture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for name in (scored_benchmark.FOLDER, benchmark_files.MAPS):
        assert f"`benchmark/{name}" in page
        assert f"`{name}`" in readme
        assert f"`{name}" in architecture


def test_the_folds_of_the_papers_cohort_have_the_sizes_on_the_page() -> None:
    counts = {"typical": 470, "indeterminate": 289, "atypical": 137, "negative": 383}  # Table 1
    patients = [finding for finding, count in counts.items() for _ in range(count)]
    folds = split(Member(str(number), finding) for number, finding in enumerate(patients))
    first, second, third = (f"{len(one.train)} / {len(one.validation)} / {len(one.test)}" for one in folds)
    assert f"in all {first}, {second} and {third} patients" in METHODS_PAGE


def test_every_extra_that_is_named_can_be_installed() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    sources = sorted((ROOT / "src").rglob("*.py"))
    named: dict[str, str] = {}
    for page in (*DOCUMENTS, *sources):
        for line in page.read_text(encoding="utf-8").splitlines():
            for extras in re.findall(r"pip install [^`#]*?\[([a-z,]+)\]", line):
                named |= dict.fromkeys(extras.split(","), page.name)
            for more in re.findall(r"pip install .*# also: (.*)", line):
                named |= dict.fromkeys(re.sub(r" \(.*?\)", "", more).split(", "), page.name)
    assert {name: page for name, page in named.items() if name not in known} == {}
    assert {"train", "export", "track", "umap"} <= set(named)


def test_the_readme_says_the_purpose_in_the_words_of_everything_else() -> None:
    assert INTENDED_USE in (ROOT / "README.md").read_text(encoding="utf-8")


def test_an_internal_error_names_a_section_that_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both of the command line and of a process that reads scans."""

    def fails(**_: object) -> None:
        raise RuntimeError("an odd number")

    monkeypatch.setattr(module, "app", fails)
    monkeypatch.delenv("TRIPLENET_DEBUG", raising=False)
    with pytest.raises(SystemExit) as left:
        module.main()
    assert left.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error[INTERNAL]: RuntimeError: an odd number; ")
    for text in (line, str(unforeseen("RuntimeError"))):
        page, section = re.search(r"(\w+\.md) says under '([^']+)'", text).groups()  # type: ignore[union-attr]
        assert section.lower().replace(" ", "-") in anchors(ROOT / page)
