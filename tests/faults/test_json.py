"""JSON that is broken or too much, or holds values of the wrong kinds."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.bids.skeleton import PET_SIDECAR
from tests.faults.attacks import Attack, Scene, attempt, in_table, stands
from tests.faults.cohort import Damage, Subject, dry_run, label_of

DEEP = b'{"a":' * 1_000_000 + b"1" + b"}" * 1_000_000
DEEP_LIST = b"[" * 1_000_000 + b"]" * 1_000_000
NESTED: Any = "x"
for _ in range(90):
    NESTED = [NESTED]
TITLE = chr(27) + "]0;taken over" + chr(7)
EITHER = r"skipped.*_pet|PET: "


def written(what: str, content: bytes, says: str) -> Damage:
    """A sidecar of these bytes, for which its image is skipped."""

    def apply(subject: Subject) -> None:
        subject.sidecar.write_bytes(content)

    return Damage(what, apply, rf"skipped: .*{says}.*_pet\.json|skipped: .*_pet\.json.*{says}")


def fields(what: str, says: str = "  PET: ", **values: Any) -> Damage:
    """A sidecar with such values; the image is taken unless something else is said."""

    def apply(subject: Subject) -> None:
        subject.sidecar.write_text(json.dumps(PET_SIDECAR | values))

    return Damage(what, apply, says)


def text(what: str, content: str, says: str = "  PET: ") -> Damage:
    """A sidecar as it is written here."""
    return Damage(what, lambda subject: subject.sidecar.write_text(content, "utf-8"), says)


SIDECARS = {
    "deep": written("nested a million deep", DEEP, "nested too deeply"),
    "deep-list": written("lists nested a million deep", DEEP_LIST, "nested too deeply"),
    "deep-inside": written("a field nested deep", b'{"Units": ' + DEEP_LIST + b"}", "too deeply"),
    "rather-deep": written("500 lists", b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", "too deeply"),
    "digits": written("6000 digits", b'{"ScanStart": ' + b"9" * 6000 + b"}", "6000 digits"),
    "digits-minus": written("-4000 digits", b'{"Run": -' + b"9" * 4000 + b"}", "digits"),
    "digits-list": written("in a list", b'{"a": [1, ' + b"9" * 400 + b"]}", "400 digits"),
    "a-list": written("a list", b"[1, 2]", "not a JSON object"),
    "a-string": written("a string", b'"FDG"', "not a JSON object"),
    "a-number": written("a number", b"3.5", "not a JSON object"),
    "null": written("null", b"null", "not a JSON object"),
    "true": written("true", b"true", "not a JSON object"),
    "no-bytes": written("no bytes", b"", "empty file"),
    "blanks": written("blanks only", b" \n \t\n", "cannot read"),
    "cut-off": written("cut off", b'{"Units": "Bq/mL", "TracerN', "cannot read"),
    "two-objects": written("two objects", b"{} {}", "Extra data"),
    "trailing-comma": written("a comma too many", b'{"Units": "Bq/mL",}', "cannot read"),
    "null-bytes": written("null bytes", b'{"Units": "Bq\x00/mL"}', "cannot read"),
    "only-nulls": written("nothing but null bytes", bytes(5000), "cannot read"),
    "control": written("control characters", b'{"Units": "\x1b[2J\x07"}', "cannot read"),
    "latin": written("Latin-1", b'{"TracerName": "\xe9\xff\xfe"}', "cannot read"),
    "binary": written("a gzip file", b"\x1f\x8b\x08" + bytes(range(256)), "cannot read"),
    "overlong": written("overlong UTF-8", b'{"a": "\xc0\xaf"}', "cannot read"),
    "huge": written("17 MB", b'{"a": "' + b"x" * (17 << 20) + b'"}', "larger than 16 MB"),
    "nan": text("NaN and infinity", '{"Units": NaN, "ScanStart": Infinity, "a": -Infinity}'),
    "nan-times": fields("NaN as a time", EITHER, FrameTimesStart=[float("nan")]),
    "exponent": text("1e999", '{"ScanStart": 1e999, "FrameDuration": -1e999}', EITHER),
    "twice": text("a field twice", '{"Units": 5, "Units": "Bq/mL", "Units": "kBq/mL"}'),
    "half-character": text("half a character", r'{"TracerName": "\ud800", "\udfff": 1}'),
    "null-character": text("a null character", r'{"TracerName": "F\u0000DG", "Units": "\u0000"}'),
    "empty-key": text("a key without letters", '{"": 1, " ": {"": {}}}'),
    "dunder": text("keys as Python has them", '{"__class__": "x", "__proto__": {"a": 1}}'),
    "frame-table": text("a key of our own", '{"_FrameTable": 5}', EITHER),
    "frame-rows": text("a table of our own", '{"_FrameTable": {"Path": [], "Rows": [[]]}}', EITHER),
    "long-name": fields("a tracer's name of 10 MB", TracerName="x" * (10 << 20)),
    "long-units": fields("units of 10 MB", Units="x" * (10 << 20)),
    "long-clock": fields("a time of 1 MB", TimeZero="1" * (1 << 20)),
    "long-weight": fields("a weight of 1 MB", PatientWeight="9" * (1 << 20)),
    "long-list": fields("a million frames", "1000000", FrameDuration=[1] * 10**6),
    "nested-units": fields("units in lists", Units=NESTED),
    "units-number": fields("units a number", Units=7),
    "units-object": fields("units an object", Units={"Units": "Bq/mL"}),
    "units-true": fields("units true", Units=True),
    "times-object": fields("times an object", EITHER, FrameTimesStart={"0": 0}),
    "times-true": fields("times true", EITHER, FrameTimesStart=[True]),
    "times-text": fields("times as text", EITHER, FrameTimesStart="0, 60"),
    "times-nested": fields("times nested", EITHER, FrameTimesStart=[[0, [1]]]),
    "times-null": fields("times null", EITHER, FrameTimesStart=[None]),
    "times-huge": fields("times of 1e300", EITHER, FrameTimesStart=[1e300]),
    "durations-negative": fields("negative", EITHER, FrameDuration=[-600]),
    "durations-huge": fields("1e308 s", EITHER, FrameDuration=[1e308]),
    "start-huge": fields("a start of 1e300", ScanStart=1e300, InjectionStart=-1e300),
    "start-object": fields("a start that is an object", ScanStart={"a": [1]}),
    "dose-huge": fields("a dose of 1e308", InjectedRadioactivity=1e308, PatientWeight=70),
    "dose-tiny": fields("a dose of 5e-324", InjectedRadioactivity=5e-324, PatientWeight=70),
    "dose-digits": fields("a dose of 300 digits", InjectedRadioactivity=10**299, PatientWeight=70),
    "dose-list": fields("a dose in a list", InjectedRadioactivity=[200, [1]]),
    "dose-text": fields("a dose in words", InjectedRadioactivity="two hundred"),
    "dose-true": fields("a dose of true", InjectedRadioactivity=True, PatientWeight=True),
    "weight-object": fields("a weight that is an object", PatientWeight={"kg": 70}),
    "clock-wild": fields("clock 99:99:99", TimeZero="99:99:99"),
    "clock-number": fields("clock a number", TimeZero=1e300),
    "clock-list": fields("clock a list", TimeZero=["10:00:00"]),
    "nuclide-list": fields("a nuclide in a list", TracerRadionuclide=["F18"]),
    "nuclide-object": fields("a nuclide as an object", TracerRadionuclide={"a": "F18"}),
    "decay-text": fields("decay in words", ImageDecayCorrected="perhaps"),
    "decay-time": fields("decay at a list", ImageDecayCorrectionTime=[[0]]),
    "factors": fields("factors of objects", EITHER, DecayCorrectionFactor=[{}]),
    "image-type": fields("an image type of objects", ImageType=[{"a": 1}, [2]]),
    "corrected": fields("corrections a number", CorrectedImage=5),
    "attenuation": fields("attenuation a list", AttenuationCorrection=[["none"]]),
    "body-part": fields("a body part in a list", BodyPartExamined=["HEAD"]),
    "series": fields("a series a number", SeriesDescription=5.5, ProtocolName=[1]),
    "age": fields("an age of a list", PatientAge=["038Y"]),
    "sex": fields("a sex of an object", PatientSex={}),
    "tracer-object": fields("a tracer object", Tracer={"Name": ["FDG"], "Isotope": {}}),
    "html": fields("HTML", TracerName="<script>alert(1)</script>", Units="<b>"),
    "escape": fields("a title for the terminal", Units=TITLE, AttenuationCorrection=TITLE),
    "lines": fields("lines of its own", Units="a\nfusionapp: error: b", TimeZero="1\r2"),
    "turned": fields("text turned round", Units="\u202egnp.exe", TracerName="\u2066x"),
    "traversal": fields("a way out of the folder", TracerName="../../../etc/passwd", Units="../x"),
    "format": fields("words that format", TracerName="{0.__class__} %s %(a)s ${HOME}", Units="%n"),
    "intended": fields("a link to a null", IntendedFor="bids::\x00", Sources=["\x00"]),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Mapping[str, str]:
    return dry_run(tmp_path_factory.mktemp("json"), SIDECARS)


@pytest.mark.parametrize("name", SIDECARS)
def test_a_bad_sidecar_costs_at_most_its_image(name, told):
    assert re.search(SIDECARS[name].says, told[label_of(name)]), told[label_of(name)][:5000]


def _file(name: str, content: bytes, *options: str):
    def prepare(scene: Scene) -> list[str]:
        (scene.bids / name).write_bytes(content)
        return ["--dry-run", *options]

    return prepare


def _filters(content: bytes):
    def prepare(scene: Scene) -> list[str]:
        path = scene.bids.parent / "filters.json"
        path.write_bytes(content)
        return ["--bids-filter-file", str(path), "--dry-run"]

    return prepare


def _weighed(content: bytes):
    """A table that gives the weight, described by these bytes."""

    def prepare(scene: Scene) -> list[str]:
        table = "participant_id\tweight\nsub-01\t70\n"
        (scene.bids / "participants.tsv").write_text(table)
        (scene.bids / "participants.json").write_bytes(content)
        return ["--dry-run"]

    return prepare


DESCRIPTION = "dataset_description.json"
SKIP = "--skip-bids-validation"
SOUND = b'{"Name": "x", "BIDSVersion": "1.10.0"'
ATTACKS = {
    "root-sidecar-deep": Attack(
        "a sidecar of all PET nested deep",
        _file("pet.json", DEEP),
        says=r"/pet\.json: it is nested too deeply",
    ),
    "root-sidecar-list": Attack(
        "a sidecar of all T1w a list",
        _file("T1w.json", b"[]"),
        says=r"T1w\.json: not a JSON object",
    ),
    "description-deep": Attack("nested deep", _file(DESCRIPTION, DEEP), (16,), "nested too deeply"),
    "description-deep-skip": Attack(
        "nested deep, unchecked", _file(DESCRIPTION, DEEP, SKIP), (16,), "nested too deeply"
    ),
    "description-digits-skip": Attack(
        "6000 digits, unchecked",
        _file(DESCRIPTION, SOUND + b', "a": ' + b"1" * 6000 + b"}", SKIP),
        (16,),
        "6000 digits",
    ),
    "description-latin-skip": Attack(
        "Latin-1, unchecked", _file(DESCRIPTION, b'{"Name": "\xe9"}', SKIP), says="2 images of 2"
    ),
    "description-cut-skip": Attack(
        "cut off, unchecked", _file(DESCRIPTION, b'{"Name": ', SKIP), says="2 images of 2"
    ),
    "description-list-skip": Attack(
        "a list, unchecked", _file(DESCRIPTION, b"[]", SKIP), (16,), "not a JSON object"
    ),
    "description-huge": Attack(
        "17 MB", _file(DESCRIPTION, SOUND + b" " * (17 << 20) + b"}"), (16,), "larger than 16 MB"
    ),
    "description-makers": Attack(
        "a derivative made by a number",
        _file(DESCRIPTION, SOUND + b', "DatasetType": "derivative", "GeneratedBy": 5}'),
        (16,),
        "GeneratedBy .* not a list of objects",
    ),
    "description-makers-text": Attack(
        "a derivative made by words",
        _file(DESCRIPTION, SOUND + b', "DatasetType": "derivative", "GeneratedBy": ["x"]}'),
        (16,),
        "GeneratedBy .* not a list of objects",
    ),
    "description-nan": Attack(
        "NaN", _file(DESCRIPTION, SOUND + b', "a": NaN, "b": 1e999}'), says="2 images of 2"
    ),
    "description-half-character": Attack(
        "half a character", _file(DESCRIPTION, SOUND + rb', "a": "\ud800"}'), says="2 images of 2"
    ),
    "participants-json-deep": Attack(
        "participants.json nested deep", _weighed(DEEP), says=r"participants\.json cannot be read"
    ),
    "participants-json-list": Attack(
        "participants.json a list", _weighed(b"[1]"), says=r"participants\.json cannot be read"
    ),
    "participants-json-kinds": Attack(
        "columns described by numbers and lists", _weighed(b'{"weight": [1], "age": 5, "": null}')
    ),
    "participants-json-units": Attack(
        "units of a column a list", _weighed(b'{"weight": {"Units": [["kg"]], "Levels": 5}}')
    ),
    "filters-deep": Attack(
        "filters nested deep", _filters(DEEP[:600_000]), (64,), "cannot read the BIDS filter file"
    ),
    "filters-digits": Attack(
        "6000 digits", _filters(b'{"pet": {"run": ' + b"1" * 6000 + b"}}"), (64,), "digits"
    ),
    "filters-latin": Attack("filters in Latin-1", _filters(b'{"\xe9": {}}'), (64,), "cannot read"),
    "filters-null": Attack("filters of null bytes", _filters(bytes(99)), (64,), "cannot read"),
    "filters-huge": Attack("filters of 17 MB", _filters(b" " * (17 << 20)), (64,), "larger than"),
    "filters-half-character": Attack(
        "filters with half a character", _filters(rb'{"pet": {"session": "\ud800"}}'), (0, 64, 18)
    ),
}


@in_table(ATTACKS)
def test_bad_json_is_one_line(attack, scene):
    stands(attempt(scene, *attack.prepare(scene)), attack)
