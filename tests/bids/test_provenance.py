from pathlib import Path

import pytest

from fusionprep.bids.provenance import authors, raw_link

MOUNTS = """\
22 1 0:21 / / rw - overlay overlay rw
23 22 0:22 / /proc rw - proc proc rw
24 22 8:1 /d/raw /bids ro - ext4 /dev/sda rw
25 22 8:1 /d/out /out rw - ext4 /dev/sda rw
26 22 8:1 /d /my\\040data rw - ext4 /dev/sda rw
"""


@pytest.fixture
def mounts(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("IS_CONTAINER", "1")
    monkeypatch.delenv("FUSIONPREP_RAW_LINK", raising=False)
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTS)
    return path


@pytest.mark.parametrize(
    ("raw", "out", "doi", "link"),
    [
        ("/bids", "/out", None, None),
        ("/bids", "/out/derivatives/fusionprep", None, None),
        ("/bids/a", "/bids/a/derivatives/x", None, "../.."),
        ("/my data/raw", "/my data/out", None, "../raw"),
        ("/my data/raw", "/out", None, None),
        ("/tmp/raw", "/tmp/out", None, "../raw"),
        ("/bids", "/out", "doi:10.18112/openneuro.ds1.v1", "doi:10.18112/openneuro.ds1.v1"),
        ("/bids", "/out", "10.1/x", "doi:10.1/x"),
        ("/bids", "/out", "https://doi.org/10.1/x", "doi:10.1/x"),
        ("/bids", "/out", "not yet", None),
        ("/bids", "/out", ["10.1/x"], None),
        ("/my data/raw", "/my data/out", "10.1/x", "../raw"),
    ],
)
def test_a_link_that_only_the_container_could_follow_is_left_out(mounts, raw, out, doi, link):
    assert raw_link(Path(raw), Path(out), {"DatasetDOI": doi}, mounts=mounts) == link


def test_without_a_container_mounts_do_not_matter(mounts, monkeypatch):
    monkeypatch.delenv("IS_CONTAINER")
    assert raw_link(Path("/bids"), Path("/out"), {}, mounts=mounts) == "../bids"


def test_a_system_without_the_table_of_mounts(mounts):
    assert raw_link(Path("/bids"), Path("/out"), {}, mounts=mounts / "none") == "../bids"


def test_the_link_can_be_set(mounts, monkeypatch):
    monkeypatch.setenv("FUSIONPREP_RAW_LINK", "file:///data/raw")
    assert raw_link(Path("/bids"), Path("/out"), {}, mounts=mounts) == "file:///data/raw"


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (["A", "B", "A", " B "], ["A", "B"]),
        (["A", "The fusionprep developers"], ["A"]),
        (["", 3, None, {"name": "A"}], ["The authors of the raw dataset"]),
        ("A", ["The authors of the raw dataset"]),
        (None, ["The authors of the raw dataset"]),
    ],
)
def test_authors_are_listed_once(listed, expected):
    assert authors({"Authors": listed}) == [*expected, "The fusionprep developers"]
