"""What participants.tsv says of a subject."""

import pytest

from fusionprep.bids.participants import participant_age


@pytest.mark.parametrize(
    ("table", "age"),
    [
        ("participant_id\tage\nsub-01\t63\n", 63),
        ("participant_id\tAge\nsub-02\t63\nsub-01\t7.5\n", 7.5),
        ("participant_id\tage\nsub-01\tn/a\n", None),
        ("participant_id\tage\nsub-01\t630\n", None),
        ("participant_id\tsex\nsub-01\tF\n", None),
    ],
)
def test_age(tmp_path, table, age):
    (tmp_path / "participants.tsv").write_text(table)
    assert participant_age(tmp_path, "01") == age
