"""The cohort table is validated as a whole, and every fault is listed."""

import pytest

from triplenet.catalog import TASKS
from triplenet.cohort import combine, read_cohort, write_cohort
from triplenet.errors import BadCohort, PathMissing


@pytest.fixture
def table(tmp_path):
    for name in ("a.nii", "b.nii", "infection.nii", "lung.nii"):
        (tmp_path / name).write_bytes(b"")

    def write(text):
        path = tmp_path / "cohort.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def faults_of(path, **options):
    with pytest.raises(BadCohort) as caught:
        read_cohort(path, **options)
    return {(fault.row, fault.column, fault.code) for fault in caught.value.faults}


def test_a_row_becomes_a_patient_with_paths_relative_to_the_table(table, tmp_path):
    path = table("patient,finding,scan,infection,lung,site,age\nP1,typical,a.nii,infection.nii,lung.nii,Nagoya,61\n")
    (patient,) = read_cohort(path)
    assert patient.scan == tmp_path / "a.nii"
    assert (patient.infection, patient.lung) == (tmp_path / "infection.nii", tmp_path / "lung.nii")
    assert (patient.site, patient.extra, patient.row) == ("Nagoya", {"age": "61"}, 2)


def test_a_series_can_be_named_and_is_no_stratum(table):
    named, silent = read_cohort(table("patient,finding,scan,series\nP1,negative,a.nii,1.2.3\nP2,negative,b.nii,\n"))
    assert (named.series, silent.series) == ("1.2.3", None)
    assert named.extra == {}


def test_none_says_that_there_is_no_infection_and_an_empty_cell_does_not(table):
    for word in ("NONE", "None"):  # as spreadsheets and people write it
        assert next(
            iter(read_cohort(table(f"patient,finding,scan,infection\nP1,negative,a.nii,{word}\n")))
        ).no_infection
    said, silent = read_cohort(table("patient,finding,scan,infection\nP1,negative,a.nii,none\nP2,negative,b.nii,\n"))
    assert said.no_infection and said.infection is None
    assert not silent.no_infection and silent.infection is None


def test_a_second_readers_mask_is_a_path_or_none_and_is_no_stratum(table, tmp_path):
    drawn, none, silent = read_cohort(
        table(
            "patient,finding,scan,mask,second_infection\n"
            "P1,typical,a.nii,lung.nii,infection.nii\nP2,negative,b.nii,,None\nP3,negative,b.nii,,\n"
        )
    )
    assert (drawn.second_infection, drawn.no_second_infection) == (tmp_path / "infection.nii", False)
    assert (none.second_infection, none.no_second_infection) == (None, True)
    assert (silent.second_infection, silent.no_second_infection) == (None, False)
    assert (drawn.infection, none.no_infection, drawn.extra) == (None, False, {})


def test_a_second_readers_mask_that_is_not_there_is_a_fault_and_alone_it_labels_nothing(table):
    path = table("patient,finding,scan,second_infection\nP1,typical,a.nii,gone.nii\nP2,,b.nii,infection.nii\n")
    assert faults_of(path) == {(2, "second_infection", "PATH_MISSING"), (3, "finding", "NO_LABEL")}
    assert faults_of(path, missing_masks=True) == {(3, "finding", "NO_LABEL")}


@pytest.mark.parametrize("name", ["second infection", "secondinfection", "Second_Infection_Mask", "second_infektion"])
def test_a_slip_of_the_second_readers_column_is_not_taken_for_a_stratum(table, name):
    with pytest.raises(BadCohort, match="did you mean 'second_infection'"):
        read_cohort(table(f"patient,finding,scan,{name}\nP1,typical,a.nii,infection.nii\n"))


def test_every_fault_is_listed_at_once_with_row_column_and_code(table):
    path = table(
        "patient,finding,scan,infection\n"
        "P1,typical,a.nii,\n"
        "P1,typcal,b.nii,\n"
        ",negative,missing.nii,gone.nii\n"
        "P4,,a.nii,\n"
        "P5,negative,,\n"
    )
    assert faults_of(path, tasks=TASKS.values()) == {
        (3, "patient", "DUPLICATE_PATIENT"),
        (3, "finding", "UNKNOWN_FINDING"),
        (4, "patient", "NO_PATIENT"),
        (4, "scan", "PATH_MISSING"),
        (4, "infection", "PATH_MISSING"),
        (5, "finding", "NO_LABEL"),
        (6, "scan", "NO_SCAN"),
    }


def test_a_misspelt_finding_is_met_with_the_nearest_known_one(table):
    with pytest.raises(BadCohort, match="did you mean 'typical'"):
        read_cohort(table("patient,finding,scan\nP1,typcal,a.nii\n"), tasks=TASKS.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("patient,scan\nP1,a.nii\n", "lacks the column finding"),
        ("patient,finding,scan,scan\nP1,typical,a.nii,a.nii\n", "stands twice"),
        ("patient,finding,scan,mask,lung\nP1,typical,a.nii,,\n", "mask column beside"),
        ("", "lacks the columns patient, finding, scan"),
        ("patient,finding,scan\n", "no patients"),
        ("patient,finding,scan\nP1,typical\n", "has not 3 cells"),
        ("patient,finding,scan\nP1,typical,a.nii,surplus\n", "has not 3 cells"),
        ("pateint,finding,scan\nP1,typical,a.nii\n", "did you mean 'patient' by 'pateint'"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(table, text, message):
    with pytest.raises(BadCohort, match=message):
        read_cohort(table(text))


def test_a_patient_without_a_finding_is_welcome_with_a_mask(table):
    (patient,) = read_cohort(table("patient,finding,scan,lung\nP1,,a.nii,lung.nii\n"))
    assert patient.finding is None


def test_a_table_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "cohort.csv"
    path.write_bytes("patient,finding,scan\nMüller,typical,a.nii\n".encode("latin-1"))
    with pytest.raises(BadCohort, match="UTF-8"):
        read_cohort(path)


def test_a_missing_table_is_said_to_be_missing(tmp_path):
    with pytest.raises(PathMissing):
        read_cohort(tmp_path / "none.csv")


def test_what_is_written_is_read_back(table, tmp_path):
    rows = [{"patient": "P,1", "finding": "typical", "scan": "a.nii", "note": 'say "no"'}]
    write_cohort(tmp_path / "out.csv", rows)
    (patient,) = read_cohort(tmp_path / "out.csv") if table("") else ()
    assert (patient.patient, patient.extra) == ("P,1", {"note": 'say "no"'})


def test_tables_are_taken_together_unless_they_share_a_patient(table, tmp_path):
    one = read_cohort(table("patient,finding,scan\nP1,typical,a.nii\n"))
    (tmp_path / "cohort.csv").rename(tmp_path / "one.csv")
    two = read_cohort(table("patient,finding,scan\nP2,negative,b.nii\n"))
    both = combine([one, two])
    assert [patient.patient for patient in both] == ["P1", "P2"]
    assert both.sha256 not in (one.sha256, two.sha256)
    with pytest.raises(BadCohort, match="DUPLICATE_PATIENT: stands in"):
        combine([one, read_cohort(table("patient,finding,scan\nP1,negative,b.nii\n"))])


ROWS = "".join(f"P{k},typical,scan,\n" for k in range(3))


@pytest.fixture
def sheet(tmp_path):
    (tmp_path / "scan").mkdir()

    def write(text, encoding="utf-8"):
        path = tmp_path / "sheet.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


HEADER = "patient,finding,scan,note\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (HEADER + ROWS, "utf-8"),
        ((HEADER + ROWS).replace(",", ";"), "utf-8-sig"),
        (("\n\n" + HEADER + ROWS).replace(",", ";"), "utf-8"),
        ((HEADER + ROWS).replace(",", "\t"), "utf-16"),
        ((HEADER + ROWS).replace(",", "\t"), "utf-16-le"),
        ((HEADER + ROWS).replace(",", "\t"), "utf-16-be"),
        ((HEADER + ROWS).replace("\n", "\r"), "utf-8"),
        ((HEADER + ROWS).replace(",", ";").replace("note", "of the chest, in words"), "utf-8"),
        ((HEADER + ROWS).replace(",", ";").replace("note", '"of the\nchest, in words"'), "utf-8"),
        ("sep=;\n" + (HEADER + ROWS).replace(",", ";"), "utf-8"),
        ('"sep=;"\r\n' + (HEADER + ROWS).replace(",", ";"), "utf-8-sig"),
        ("SEP=\t\n" + (HEADER + ROWS).replace(",", "\t"), "utf-8"),
        ("sep=,,,,\n" + HEADER + ROWS, "utf-8"),
        (f",,,\n{HEADER}{ROWS},,,\n,,,\n", "utf-8"),
        ((HEADER + ROWS).replace("\n", ",,\n"), "utf-8"),
        (HEADER + ROWS.replace("\n", ",,,\n"), "utf-8"),
        ((HEADER + ROWS).replace("finding,", "finding,,").replace("typical,", "typical,,"), "utf-8"),
        (HEADER.replace("\n", "\r\n\r\n") + ROWS, "utf-8"),
    ],
)
def test_tables_are_read_as_spreadsheets_save_them(sheet, text, encoding):
    assert [patient.patient for patient in read_cohort(sheet(text, encoding))] == ["P0", "P1", "P2"]


@pytest.mark.parametrize(
    ("text", "line", "shown"),
    [
        (f"{HEADER}{ROWS}\n\nPX,typical,nowhere,\n", 7, "row 7,"),
        (f'{HEADER}P0,typical,scan,"two\nlines"\nPX,typical,nowhere,\n', 4, "row 4 (row 3 in a spreadsheet),"),
        ("sep=,\npatient,finding,scan\nPX,typical,nowhere\n", 3, "row 3 (row 2 in a spreadsheet),"),
        (f"{HEADER}P0,typical,scan,1\nPX,typical,nowhere,\n".replace("\n", "\r\n"), 3, "row 3,"),
    ],
)
def test_a_fault_is_found_by_its_line_and_in_the_spreadsheet(sheet, text, line, shown):
    with pytest.raises(BadCohort) as caught:
        read_cohort(sheet(text))
    assert [fault.row for fault in caught.value.faults] == [line]
    assert str(caught.value).startswith(shown)


def test_values_without_a_column_name_are_refused(sheet):
    with pytest.raises(BadCohort, match="column 4 has values and no name"):
        read_cohort(sheet("patient,finding,scan,\nP0,typical,scan,x\n"))


def test_a_spreadsheets_own_file_is_called_so(tmp_path):
    for name, begins in (("book.xlsx", b"PK\x03\x04"), ("book.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
        (tmp_path / name).write_bytes(begins + bytes(100))
        with pytest.raises(BadCohort, match="not a CSV"):
            read_cohort(tmp_path / name)
    with pytest.raises(BadCohort, match="a folder"):
        read_cohort(tmp_path)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("infektion", "infection"), ("infecton", "infection"), ("Infection", "infection"), ("nfektion", "infection"),
        ("infection_mask", "infection"), ("Infection mask", "infection"), ("lungs", "lung"), ("ulng", "lung"),
        ("lung_seg_file", "lung"), ("stie", "site"), ("site_name", "site"), ("serie", "series"),
        ("series_uid", "series"), ("gruop", "group"), ("group_id", "group"), ("maks", "mask"), ("mask_path", "mask"),
    ],
)  # fmt: skip
def test_a_misspelled_column_is_not_passed_over(sheet, name, meant):
    with pytest.raises(BadCohort, match=f"the column '{name}' is not known.*did you mean '{meant}'") as caught:
        read_cohort(sheet(f"patient,finding,scan,{name}\n{ROWS}"))
    assert caught.value.code == "UNKNOWN_COLUMN"
    # What the message says that keeps such a column does keep it.
    kept = caught.value.faults[0].text.rpartition(" ")[2]
    assert read_cohort(sheet(f"patient,finding,scan,{kept}\n{ROWS}")).patients[0].extra == {kept: ""}


def test_every_misspelled_column_is_listed(sheet):
    with pytest.raises(BadCohort, match="and 1 more") as caught:
        read_cohort(sheet("patient,finding,scan,infektion,lungs\nP0,typical,scan,,\n"))
    assert [fault.column for fault in caught.value.faults] == ["infektion", "lungs"]


@pytest.mark.parametrize(
    "name",
    ["age", "sex", "scanner", "note", "notes", "date", "kvp", "finding_text", "size_mm", "size", "side", "mass",
     "stage", "slice", "time", "case", "grade", "infection_ml", "lung_volume", "series_description", "name"],
)  # fmt: skip
def test_other_columns_travel_along(sheet, name):
    assert read_cohort(sheet(f"patient,finding,scan,{name}\n{ROWS}")).patients[0].extra == {name: ""}


def test_a_column_is_no_slip_of_one_that_is_there(sheet):
    (patient,) = read_cohort(sheet("patient,finding,scan,site,sites,site_id\nP0,typical,scan,west,2,7\n"))
    assert (patient.site, patient.extra) == ("west", {"sites": "2", "site_id": "7"})


@pytest.mark.parametrize("text", ["P\x1b[31mX", "P\u202egpj.exe", "P\u200b1", "P\u20281", "P" * 5000, "\u80ba" * 70])
def test_cells_that_steer_a_terminal_are_refused_by_row(sheet, text):
    with pytest.raises(BadCohort) as caught:
        read_cohort(sheet(f"patient,finding,scan\nP0,typical,scan\n{text},typical,scan\n"))
    (fault,) = caught.value.faults
    assert (fault.row, fault.column, fault.code) == (3, "patient", "BAD_TEXT")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("column", ["finding", "site", "group", "series"])
def test_other_names_are_as_strict_and_free_text_may_have_lines(sheet, column):
    cells = {"patient": "P0", "finding": "typical", "scan": "scan", "note": "two\n\tlines"}
    text = "{}\n{}\n".format(
        ",".join(cells | {column: ""}), ",".join(f'"{cell}"' for cell in {**cells, column: "a\nb"}.values())
    )
    with pytest.raises(BadCohort) as caught:
        read_cohort(sheet(text))
    assert [(fault.column, fault.code) for fault in caught.value.faults] == [(column, "BAD_TEXT")]


def test_a_path_that_no_system_takes_is_said_to_be_so(sheet):
    with pytest.raises(BadCohort) as caught:
        read_cohort(
            sheet(f"patient,finding,scan\nP0,typical,{'n' * 300}\nP1,typical,{'n' * 5000}\nP2,typical,a\x1bb\n")
        )
    assert [fault.code for fault in caught.value.faults] == ["NAME_TOO_LONG", "BAD_TEXT", "BAD_TEXT"]
    assert len(str(caught.value)) < 500


def test_a_formula_that_triplenet_wrote_is_read_as_it_was(table, tmp_path):
    table("")
    write_cohort(tmp_path / "out.csv", [{"patient": "=1+2", "finding": "-", "scan": "a.nii", "note": "-5"}])
    (patient,) = read_cohort(tmp_path / "out.csv")
    assert (patient.patient, patient.finding, patient.extra["note"]) == ("=1+2", "-", "-5")


def test_a_line_that_announces_a_separator_is_read_in_one_pass(tmp_path):
    """Many spaces behind it took minutes: each was tried as separator and as space."""
    rows = "patient;finding;scan\n" + "".join(f"P{k};typical;s\n" for k in range(3))
    (tmp_path / "s").mkdir()
    (tmp_path / "a.csv").write_text("sep=;" + " " * 100_000 + "\n" + rows)
    assert len(read_cohort(tmp_path / "a.csv", tasks=TASKS.values()).patients) == 3
    (tmp_path / "b.csv").write_text("sep=" + " " * 100_000 + "x\n" + rows)
    with pytest.raises(BadCohort):
        read_cohort(tmp_path / "b.csv", tasks=TASKS.values())
