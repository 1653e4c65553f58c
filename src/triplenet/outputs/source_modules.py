"""The attributes of patient and study that every DICOM object of a result has exactly as its source has them."""

from __future__ import annotations

from copy import deepcopy

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword

PATIENT = (
    "PatientName", "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "TypeOfPatientID",
    "PatientBirthDate", "PatientBirthDateInAlternativeCalendar", "PatientDeathDateInAlternativeCalendar",
    "PatientAlternativeCalendar", "PatientSex", "PatientBirthTime", "QualityControlSubject",
    "ReferencedPatientSequence", "ReferencedPatientPhotoSequence", "OtherPatientIDsSequence", "OtherPatientNames",
    "EthnicGroup", "EthnicGroupCodeSequence", "PatientComments", "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence", "PatientBreedDescription", "PatientBreedCodeSequence", "BreedRegistrationSequence",
    "ResponsiblePerson", "ResponsiblePersonRole", "ResponsibleOrganization",
    "SourcePatientGroupIdentificationSequence", "GroupOfPatientsIdentificationSequence", "StrainDescription",
    "StrainNomenclature", "StrainStockSequence", "StrainAdditionalInformation", "StrainCodeSequence",
    "GeneticModificationsSequence",
)  # fmt: skip
DEIDENTIFICATION = (
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
)  # fmt: skip
STUDY = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName", "ReferringPhysicianIdentificationSequence",
    "ConsultingPhysicianName", "ConsultingPhysicianIdentificationSequence", "StudyID", "AccessionNumber",
    "IssuerOfAccessionNumberSequence", "StudyDescription", "PhysiciansOfRecord",
    "PhysiciansOfRecordIdentificationSequence", "NameOfPhysiciansReadingStudy",
    "PhysiciansReadingStudyIdentificationSequence", "RequestingService", "RequestingServiceCodeSequence",
    "ReferencedStudySequence", "ProcedureCodeSequence", "ReasonForPerformedProcedureCodeSequence",
)  # fmt: skip
PATIENT_STUDY = (
    "AdmittingDiagnosesDescription", "AdmittingDiagnosesCodeSequence", "PatientAge", "PatientSize", "PatientWeight",
    "PatientBodyMassIndex", "MeasuredAPDimension", "MeasuredLateralDimension", "PatientSizeCodeSequence",
    "MedicalAlerts", "Allergies", "SmokingStatus", "PregnancyStatus", "LastMenstrualDate", "PatientState",
    "Occupation", "AdditionalPatientHistory", "AdmissionID", "IssuerOfAdmissionIDSequence", "ReasonForVisit",
    "ReasonForVisitCodeSequence", "ServiceEpisodeID", "ServiceEpisodeDescription", "IssuerOfServiceEpisodeIDSequence",
    "PatientSexNeutered",
)  # fmt: skip
TRIAL = (
    "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "IssuerOfClinicalTrialProtocolID",
    "OtherClinicalTrialProtocolIDsSequence", "ClinicalTrialProtocolName", "ClinicalTrialSiteID",
    "IssuerOfClinicalTrialSiteID", "ClinicalTrialSiteName", "ClinicalTrialSubjectID",
    "IssuerOfClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID", "IssuerOfClinicalTrialSubjectReadingID",
    "ClinicalTrialProtocolEthicsCommitteeName", "ClinicalTrialProtocolEthicsCommitteeApprovalNumber",
    "ClinicalTrialTimePointID", "IssuerOfClinicalTrialTimePointID", "ClinicalTrialTimePointDescription",
    "ClinicalTrialTimePointTypeCodeSequence", "LongitudinalTemporalOffsetFromEvent", "LongitudinalTemporalEventType",
    "ConsentForClinicalTrialUseSequence", "ClinicalTrialCoordinatingCenterName",
)  # fmt: skip
MODULES = {
    "patient": PATIENT,
    "de-identification": DEIDENTIFICATION,
    "study": STUDY,
    "patient study": PATIENT_STUDY,
    "clinical trial": TRIAL,
}
TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "ReferringPhysicianName",
    "StudyID", "AccessionNumber",
)  # fmt: skip
"""There in every object, empty where the source does not know"""
BODY_PART = "CHEST"


def copy_modules(made: Dataset, source: Dataset) -> None:
    """Give an object the source's modules of patient, de-identification, study and trial, and its body part.

    What the source leaves out the object leaves out, but for attributes that must stand there empty; a source that
    names no body part is a chest.
    """
    for keyword in (keyword for keywords in MODULES.values() for keyword in keywords):
        if keyword in source:
            made[keyword] = deepcopy(source[keyword])
        elif keyword in TYPE_2:
            put(made, keyword, None)
        elif keyword in made:
            del made[keyword]
    made.BodyPartExamined = source.get("BodyPartExamined") or BODY_PART


def without_modules(source: Dataset) -> Dataset:
    """A header for a library that checks what it is given: the modules' attributes are empty or gone.

    The elements that stay are the source's own, and must be replaced by :func:`put` instead of changed.
    """
    plain = Dataset()
    plain.update(source)
    for keyword in (keyword for keywords in MODULES.values() for keyword in keywords):
        if keyword in TYPE_2:
            put(plain, keyword, None)
        elif keyword in plain and keyword != "StudyInstanceUID":
            del plain[keyword]
    if "SpecificCharacterSet" in plain:
        del plain["SpecificCharacterSet"]
    return plain


def put(dataset: Dataset, keyword: str, value: object) -> None:
    """Set an attribute by an element of its own, whatever shares the one that is there."""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    dataset.add_new(tag, dictionary_VR(tag), value)
