"""The table of all attacks."""

import importlib
from collections import Counter

import pytest

from tests.faults.table import ELSEWHERE, attacks_of, main, modules


def test_each_attack_has_an_id_of_its_own():
    ids = Counter(name for module in modules() for name, _ in attacks_of(module))
    assert [name for name, count in ids.items() if count > 1] == []
    assert len(ids) >= 200


@pytest.mark.parametrize("name", ELSEWHERE)
def test_attacks_elsewhere_are_there(name):
    module, test = ELSEWHERE[name][2].split(".")
    assert callable(getattr(importlib.import_module(f"tests.app.{module}"), test))


def test_the_table_is_printed(capsys):
    main()
    printed = capsys.readouterr().out
    assert "| kills.kill-main | SIGKILL of the main process | SIGKILL |" in printed
