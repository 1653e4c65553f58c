"""The DICOM conformance statement, in the order of PS3.2 as far as it applies to software without a network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.statements.attribute_origins import Circumstance, Origin, Place, Writings, is_code, template_of
from benchmarks.statements.markdown_text import code, codes, prose, table
from benchmarks.statements.material import DICOM
from benchmarks.statements.object_tables import attribute_tables, common, content_table, extended
from pydicom import Dataset
from pydicom.sr import _cid_dict
from pydicom.sr.codedict import codes as standard
from pydicom.uid import UID

from triplenet import __version__
from triplenet.outputs import FORMATS, dicom_objects
from triplenet.outputs.report_codes import OWN_SCHEME
from triplenet.outputs.source_modules import MODULES
from triplenet.scan import dicom_syntax
from triplenet.scan.dicom_header import CT_CLASSES
from triplenet.scan.segmentation import SEGMENTATION_CLASSES

Code = tuple[str, str, str]
GENERATED = (
    "Written by `python benchmarks/conformance_statements.py`, and compared with the code by a test: do not edit."
)
#: Which context group the standard has for an attribute's or a content item's codes.
CONTEXT_GROUPS: Mapping[str, int] = {
    "SegmentedPropertyCategoryCodeSequence": 7150,
    "SegmentedPropertyTypeCodeSequence": 7151,
    "AlgorithmFamilyCodeSequence": 7162,
    "DerivationCodeSequence": 7203,
    "QuantityDefinitionSequence": 7180,
    "SourceImageSequence": 7202,
    "ContributingEquipmentSequence": 7005,
    "Observer Type": 270,
    "Procedure reported": 100,
    "title of the Key Object Selection": 7010,
}
#: Templates that name no container, and the concept that tells that one is there.
_TOLD_BY = {"1004": "121012", "4019": "111001", "4108": "112040"}
_TEMPLATES = {
    "1004": "device observer",
    "1411": "measurements of a segment's volume",
    "1500": "measurement report",
    "1501": "measurements and findings of a group",
    "2010": "key object selection",
    "4019": "algorithm",
    "4108": "tracking identifier",
}
#: Names that pydicom does not have yet.
_NAMES = {"1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage"}


@dataclass(frozen=True)
class Found:
    """What the objects of some writings show."""

    objects: tuple[Dataset, ...]
    own: tuple[Dataset, ...]
    """All items below them that the source does not have"""

    @staticmethod
    def of(circumstances: Iterable[Circumstance]) -> Found:
        """In all of these."""
        objects, items = [], []
        for one in circumstances:
            told = {str(item) for source in one.sources for item in _items(source)}
            objects += one.objects
            items += [item for made in one.objects for item in _items(made) if str(item) not in told]
        return Found(tuple(objects), tuple(items))

    def codes(self) -> set[Code]:
        """Every code that is not the source's."""
        return {_code(item) for item in self.own if is_code(item)}

    def templates(self) -> set[str]:
        """Numbers of the templates that containers say they follow, or whose concept is there."""
        said = {template_of(item).removeprefix("TID ") for item in (*self.objects, *self.own)}
        concepts = {value for value, _, _ in self.codes()}
        return {one for one in said if one} | {one for one, concept in _TOLD_BY.items() if concept in concepts}


def statement(writings: Writings, found: Found) -> str:
    """The page."""
    origins = {name: writings.origins(name) for name in sorted(writings.plain.by_class, key=_class_name)}
    parts = (*_front(writings), *_communication(found), *_contents(origins), *_coding(found), *_extensions(origins))
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _front(writings: Writings) -> Iterator[str]:
    yield "# DICOM conformance statement\n"
    yield f"{GENERATED}\n"
    yield f"triplenet {__version__}. {dicom_objects.RESEARCH}: no medical device.\n"
    yield "## Overview\n"
    yield prose(
        "triplenet reads chest CT from DICOM files, classifies it, and writes the result as DICOM files into a",
        "folder. It has no network services: another product receives the scan and stores the files, which",
        "`make conformance` tries with Orthanc.",
    )
    files = _files(writings)
    yield table(
        ("SOP class", "UID", "created", "read"),
        [
            (
                _class_name(name),
                code(name),
                f"yes, `--outputs {files[name]}`" if name in files else "no",
                "as a scan" if name in CT_CLASSES else "as a mask" if name in SEGMENTATION_CLASSES else "no",
            )
            for name in sorted({*files, *CT_CLASSES, *SEGMENTATION_CLASSES}, key=_class_name)
        ],
    )
    yield "## Introduction\n"
    yield prose(
        "For whoever integrates the objects into an archive or a viewer. Each value's origin below was found by",
        "writing one result again after one thing was changed: another scan with other headers, another model,",
        "other options, masks that are given, another time, and a scan whose headers tell as little as they",
        "may. So `source's` stands where the value is the source's in all of them, a literal where nothing",
        "changes it, and `made of` names what does. Types are those of PS3.3 as highdicom has them; a place",
        "without one is in no module of its class, or in a macro. What the outputs mean is told in",
        "[outputs.md](outputs.md).",
    )


def _communication(found: Found) -> Iterator[str]:
    yield "## Networking\n"
    yield "None: no association is opened or accepted, and no service of DICOMweb is offered or used.\n"
    yield "## Media interchange\n"
    yield prose(
        "Files of PS3.10, one object each, without a DICOMDIR; no media application profile is claimed. Files",
        "are read from folders, archives (zip) and by a DICOMDIR; a file without preamble or file meta",
        "information is read by what its bytes show.",
    )
    yield "## Transfer syntaxes\n"
    written = {str(one.file_meta.TransferSyntaxUID) for one in found.objects}
    read = {*dicom_syntax.NATIVE, *dicom_syntax.DECODED}
    yield table(
        ("transfer syntax", "UID", "written", "read"),
        [
            (
                dicom_syntax.syntax_name(one),
                code(one),
                "yes" if one in written else "no",
                f"by {_decoder(one)}" if one in read else "no",
            )
            for one in sorted(read | written, key=_numbers)
        ],
    )
    yield "## Character sets\n"
    yield prose(
        "An object has its source's Specific Character Set, whatever that is, and names are the same bytes as",
        f"there; it has {code(dicom_objects.UTF_8)} instead where the model's method or classes have a name that",
        "is not ASCII. A source without one gives objects without one (the default repertoire).",
    )
    yield "## Security\n"
    yield prose(
        "No security profile, no digital signature, no encryption. **Nothing is de-identified**: the attributes",
        f"of {', '.join(MODULES)} are the source's, what says that it was de-identified among them, so that",
        "objects of a scan that tells a patient's name tell it too. Files are written with the rights of",
        "whoever runs the program.",
    )
    yield "## UIDs\n"
    roots = sorted({_root(str(uid)) for one in found.objects for uid in (one.SOPInstanceUID, one.SeriesInstanceUID)})
    yield prose(
        "Series, instances, tracking, dimensions and devices have UIDs of the root",
        f"{', '.join(map(code, roots))} (PS3.5 B.2): the number is a name-based UUID of the source's series and",
        "instances, the model's SHA-256, the options and the version of triplenet; of a device of the SHA-256",
        "alone. The same scan, model and options give the same UIDs again, anything else gives others.",
    )


def _contents(origins: Mapping[str, Mapping[Place, Origin]]) -> Iterator[str]:
    yield "## Contents of the objects\n"
    shared = common(origins)
    yield "### Every object\n"
    yield "What all classes have in common; what follows is what each has beside it.\n"
    yield from attribute_tables(shared, list(origins), "####")
    for name, places in origins.items():
        yield f"### {_class_name(name)}\n"
        yield from attribute_tables({p: one for p, one in places.items() if p not in shared}, [name], "####")
        if any(place[0] == "ContentSequence" for place in places):
            yield "#### Content tree\n"
            yield content_table(places)


def _coding(found: Found) -> Iterator[str]:
    yield "## Coded terminology and templates\n"
    yield "### Coding schemes\n"
    written = found.codes()
    schemes = sorted({scheme for _, scheme, _ in written})
    yield table(("scheme", "codes"), [(code(scheme), _of_scheme(written, scheme)) for scheme in schemes])
    yield prose(
        f"`{OWN_SCHEME}` is ours, and identified in each report. It has the share of the lung, and a code of",
        "each class of a model: the first 16 hexadecimal digits of the SHA-256 of `task/class`, since classes",
        "are known by names in their task alone.",
    )
    yield "### Context groups\n"
    yield "Whether the codes that are written are in the standard's context group, as pydicom has it.\n"
    yield table(("where", "context group", "in it", "not in it"), _context_groups(found))
    yield "### Templates\n"
    yield table(
        ("template", "what"), [(f"TID {one}", _TEMPLATES.get(one, "")) for one in sorted(found.templates(), key=int)]
    )
    yield "## Private attributes\n"
    private = sorted({str(e.tag) for one in found.objects for e in one.iterall() if e.tag.is_private})
    yield f"{', '.join(private) if private else 'None.'}\n"


def _extensions(origins: Mapping[str, Mapping[Place, Origin]]) -> Iterator[str]:
    yield "## Standard extended, specialised and private SOP classes\n"
    yield prose(
        "No specialised and no private class, and no private transfer syntax. Objects are of Standard Extended",
        "SOP Classes where they have attributes that are in no module of their class, as highdicom lists them:",
    )
    more = {name: extended(places, name) for name, places in origins.items()}
    yield table(("SOP class", "attributes"), [(_class_name(name), codes(one)) for name, one in more.items() if one])


def _context_groups(found: Found) -> Iterator[Sequence[str]]:
    for place, number in CONTEXT_GROUPS.items():
        told = sorted(_codes_at(found, place), key=lambda one: (one[1], one[0]))
        inside = [one for one in told if in_group(one, number)]
        rest = [one for one in told if one not in inside]
        yield place, f"CID {number} {_cid_dict.name_for_cid[number]}", _texts(inside), _texts(rest)


def in_group(one: Code, number: int) -> bool:
    """Whether a code is in a context group."""
    concepts = getattr(standard, f"cid{number}").concepts
    return any((told.value, told.scheme_designator) == one[:2] for told in concepts.values())


def _codes_at(found: Found, place: str) -> set[Code]:
    """Codes of an attribute, or of the items of a sequence, or of a concept."""
    told: set[Code] = set()
    for one in (*found.objects, *found.own):
        if place.startswith("title of") and one.get("Modality") == "KO":
            told.add(_code(one.ConceptNameCodeSequence[0]))
        for item in one.get(place) or () if place.endswith("Sequence") else ():
            nested = (item, *item.get("PurposeOfReferenceCodeSequence", ()), *item.get("ConceptCodeSequence", ()))
            told |= {_code(each) for each in nested if is_code(each)}
        name = one.get("ConceptNameCodeSequence")
        if name and name[0].CodeMeaning == place and "ConceptCodeSequence" in one:
            told.add(_code(one.ConceptCodeSequence[0]))
    return told & found.codes()


def _files(writings: Writings) -> dict[str, str]:
    """The output that each class is written by."""
    forms = {name: FORMATS[name].files for name in DICOM}
    found = {}
    for one in writings.plain.objects:
        file = re.sub(r"(_\d+)?\.dcm$", ".dcm", str(one.filename).rpartition("/")[2])
        found[str(one.SOPClassUID)] = next(name for name, files in forms.items() if file in files)
    return found


def _items(dataset: Dataset) -> Iterator[Dataset]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from _items(item)


def _code(item: Dataset) -> Code:
    return str(item.get("CodeValue", "")), str(item.CodingSchemeDesignator), str(item.CodeMeaning)


def _of_scheme(written: Iterable[Code], scheme: str) -> str:
    told = sorted({(value, meaning) for value, name, meaning in written if name == scheme})
    if scheme == OWN_SCHEME:
        told = [(value, meaning) for value, meaning in told if not re.fullmatch("[0-9A-F]{16}", value)]
    words = ", ".join(f"{value} {meaning}" for value, meaning in told)
    return f"{words}, classes" if scheme == OWN_SCHEME else words


def _texts(told: Iterable[Code]) -> str:
    return ", ".join(f'({value}, {scheme}, "{meaning}")' for value, scheme, meaning in told)


def _decoder(syntax: str) -> str:
    return "SimpleITK" if syntax in dicom_syntax.BY_SIMPLEITK else dicom_syntax.BY_PLUGIN.get(UID(syntax), "itself")


def _root(uid: str) -> str:
    return ".".join(uid.split(".")[:2])


def _numbers(uid: str) -> list[int]:
    return [int(part) for part in uid.split(".")]


def _class_name(uid: str) -> str:
    return _NAMES.get(uid) or str(UID(uid).name)
