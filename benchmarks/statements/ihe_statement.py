"""The IHE integration statement: which content rules the objects meet, each found out from the objects themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from benchmarks.statements.attribute_origins import Circumstance, content_items, template_of
from benchmarks.statements.dicom_statement import GENERATED, Code, Found, in_group
from benchmarks.statements.markdown_text import prose, table
from pydicom import Dataset

from triplenet import __version__
from triplenet.outputs import dicom_objects
from triplenet.outputs.report_codes import OWN_SCHEME

PROFILE = "AI Results (AIR), Rev 1.3, trial implementation, 2025-08-08"
SEG, PM, SR = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.30", "1.2.840.10008.5.1.4.1.1.88.34"
_PROCESSING = "109102"


@dataclass(frozen=True)
class Rule:
    """A rule in our own words, and whether these objects meet it."""

    rule: str
    how: str
    met: bool


def statement(plain: Circumstance, healthy: Circumstance, found: Found, today: date) -> str:
    """The page."""
    parts = (*_form(today), *_rules(plain, healthy, found))
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _form(today: date) -> Iterator[str]:
    yield "# IHE integration statement\n"
    yield f"{GENERATED}\n"
    yield table(
        ("IHE integration statement", ""),
        [
            ("vendor", "The triplenet developers"),
            ("product", "triplenet"),
            ("version", __version__),
            ("date", today.isoformat()),
        ],
    )
    yield prose(
        f"triplenet follows the content rules of the Evidence Creator in IHE Radiology's profile {PROFILE}. It",
        f"was not tested at a connectathon. {dicom_objects.RESEARCH}: no medical device.",
    )
    yield "## Integration profiles, actors and options\n"
    yield table(
        ("profile", "actor", "options", "how far"),
        [
            (
                PROFILE,
                "Evidence Creator",
                "none",
                "content only: see below for the rules, and for what is not implemented",
            )
        ],
    )
    yield "Its objects in detail: [DICOM conformance statement](dicom-conformance-statement.md).\n"


def _rules(plain: Circumstance, healthy: Circumstance, found: Found) -> Iterator[str]:
    rules = rules_of(plain, healthy)
    yield "## Content rules\n"
    yield "In our own words. Each is asked of the objects of a scan with a finding and of one without.\n"
    yield table(("rule", "how", "met"), [(one.rule, one.how, "yes" if one.met else "**no**") for one in rules])
    yield prose("A rule of the profile that is not listed here was not judged.")
    yield "## Not implemented\n"
    own = sorted({meaning for _, scheme, meaning in found.codes() if scheme == OWN_SCHEME})
    lacking = (
        "Transactions: nothing receives scans, stores objects or confirms their storage over a network.",
        "Workflow and worklists of AI Workflow for Imaging (AIW-I).",
        f"Public codes for classes and the lung's share: {', '.join(own)} are here of the scheme {OWN_SCHEME}.",
        "Regions as coordinates in the report: they are segments, and outlines of the Presentation State.",
        "Reports that a person has verified: each is preliminary and unverified.",
    )
    yield "\n".join(f"- {line}" for line in lacking)
    yield prose(
        "Beside what the profile is about, pictures (Secondary Capture), outlines (Presentation State) and a Key",
        "Object Selection are written for viewers that show nothing else; all that they show stands in the",
        "Segmentation, in the Parametric Map or in the report.",
    )


def rules_of(plain: Circumstance, healthy: Circumstance) -> list[Rule]:
    """Every rule, and whether it is met."""
    both = (plain, healthy)
    every = [made for one in both for made in one.objects]
    reports = [made for made in every if made.SOPClassUID == SR]
    return [
        Rule(
            "6.5.3.1: each object says by one item of contributing equipment what made it, versions included",
            "manufacturer, method, versions of package and model, and a device UID of the model, in every object",
            all(_maker(made) is not None for made in every),
        ),
        Rule(
            "What made it is the same in all objects of a result",
            "the same values in each object's item and in its own equipment",
            all(len({_maker(made) for made in one.objects}) == 1 for one in both),
        ),
        Rule(
            "The report's observer and algorithm are that maker",
            "TID 1004 and TID 4019 repeat the values",
            all(_says_maker(report) for report in reports),
        ),
        Rule(
            "Results are tied together by a report of measurements",
            "Comprehensive 3D SR by TID 1500, one a result",
            len(reports) == len(both) and all(template_of(report) == "TID 1500" for report in reports),
        ),
        Rule(
            "Findings are coded, and one that was looked for and not found is said to be absent",
            "class, and pneumonia or opacity present or absent, in a group by TID 1501",
            all(_has(report, "(121071, DCM") for report in reports) and _presence(reports) == {"Present", "Absent"},
        ),
        Rule(
            "Measurements have coded names and UCUM units",
            "probability of each class, volumes in ml, share in %",
            all(units == {"UCUM"} for units in map(_unit_schemes, reports)),
        ),
        Rule(
            "A region's voxels are a Segmentation, and what is measured of it refers to the segment",
            "a group by TID 1411 for each segment",
            _segments(plain),
        ),
        Rule(
            "What is found has a tracking identifier and UID",
            "in every group, those of a segment equal to the Segmentation's",
            all(_tracked(report) for report in reports) and _same_tracking(plain),
        ),
        Rule(
            "A map's values are a Parametric Map whose quantity is coded",
            "quantity of CID 7180; the report points at it as the visual explanation",
            _maps(plain) and all(_has(report, "(130401, DCM") for report in reports),
        ),
        Rule(
            "Objects lie in the study of the images that they are about, and name these",
            "study, patient and instances of the source",
            all(_in_study(one) for one in both),
        ),
        Rule(
            "What has a place has it in the frame of reference of the images",
            "Segmentation, Parametric Map and Secondary Capture",
            all(_in_frame(one) for one in both),
        ),
    ]


def _maker(made: Dataset) -> tuple[str, ...] | None:
    """Of the one item that tells it; None if there is another number, or something is missing or told otherwise."""
    items = [
        item
        for item in made.get("ContributingEquipmentSequence", ())
        if item.PurposeOfReferenceCodeSequence[0].CodeValue == _PROCESSING
    ]
    if len(items) != 1:
        return None
    keywords = ("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceUID")
    told, own = ([str(one.get(keyword) or "") for keyword in keywords] for one in (items[0], made))
    return tuple(told) if all(told) and told == own else None


def _says_maker(report: Dataset) -> bool:
    values = _content(report)
    maker, (_, model, _, device) = _maker(report), _maker(report) or ("", "", "", "")
    return (
        maker is not None
        and values.get("Device Observer UID") == {device}
        and values.get("Algorithm Name") == {model}
        and values.get("Algorithm Version") == {" ".join(report.SoftwareVersions)}
    )


def _content(report: Dataset) -> Mapping[str, set[str]]:
    """Values of content items by the meaning of their name."""
    found: dict[str, set[str]] = {}
    for place, value in content_items(report):
        found.setdefault(place[-1].rpartition(', "')[2].removesuffix('")'), set()).add(value)
    return found


def _has(report: Dataset, concept: str) -> bool:
    return any(concept in place[-1] for place, _ in content_items(report))


def _presence(reports: Sequence[Dataset]) -> set[str]:
    told = {
        value for report in reports for name in ("Pneumonia", "Opacity") for value in _content(report).get(name, ())
    }
    return {value.rpartition(', "')[2].removesuffix('")') for value in told}


def _unit_schemes(report: Dataset) -> set[str]:
    """Coding schemes of the units of all measurements."""
    return {value.split(", ")[1] for place, value in content_items(report) if " NUM: " in f" {place[-1]}"}


def _groups(report: Dataset) -> list[Dataset]:
    """The groups of measurements."""
    measured = [one for one in report.ContentSequence if one.ConceptNameCodeSequence[0].CodeValue == "126010"]
    return [group for one in measured for group in one.ContentSequence]


def _tracked(report: Dataset) -> bool:
    told = [_content(group) for group in _groups(report)]
    return bool(told) and all({"Tracking Identifier", "Tracking Unique Identifier"} <= set(one) for one in told)


def _of_class(one: Circumstance, sop_class: str) -> list[Dataset]:
    return [made for made in one.objects if made.SOPClassUID == sop_class]


def _segment_groups(one: Circumstance) -> list[Dataset]:
    return [group for report in _of_class(one, SR) for group in _groups(report) if template_of(group) == "TID 1411"]


def _segments(one: Circumstance) -> bool:
    (made,) = _of_class(one, SEG)
    groups = _segment_groups(one)
    return len(groups) == len(made.SegmentSequence) and all(
        _content(group).get("Referenced Segment") == {str(made.SOPInstanceUID)} for group in groups
    )


def _same_tracking(one: Circumstance) -> bool:
    (made,) = _of_class(one, SEG)
    told = [_content(group).get("Tracking Unique Identifier") for group in _segment_groups(one)]
    return told == [{str(segment.TrackingUID)} for segment in made.SegmentSequence]


def _maps(one: Circumstance) -> bool:
    quantities: list[Code] = []
    for made in _of_class(one, PM):
        (mapping,) = made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
        (told,) = mapping.QuantityDefinitionSequence[0].ConceptCodeSequence
        quantities.append((told.CodeValue, told.CodingSchemeDesignator, told.CodeMeaning))
    return bool(quantities) and all(in_group(told, 7180) for told in quantities)


def _in_study(one: Circumstance) -> bool:
    source = one.sources[0]
    same = all(
        made.get(keyword) == source.get(keyword)
        for made in one.objects
        for keyword in ("StudyInstanceUID", "PatientID", "PatientName")
    )
    uids = {str(each.SOPInstanceUID) for each in one.sources}
    return same and all(uids & _referenced(made) for made in one.objects)


def _referenced(made: Dataset) -> set[str]:
    return {str(element.value) for element in made.iterall() if element.keyword == "ReferencedSOPInstanceUID"}


def _in_frame(one: Circumstance) -> bool:
    frame = one.sources[0].FrameOfReferenceUID
    placed = [made for made in one.objects if "FrameOfReferenceUID" in made]
    return len(placed) >= 2 and all(made.FrameOfReferenceUID == frame for made in placed)
