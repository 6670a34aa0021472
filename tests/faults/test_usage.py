"""Command lines, configuration, filter and plugin files that cannot be right."""

from tests.faults.attacks import Attack, Scene, attempt, in_table, stands


def _filters(text: str):
    def prepare(scene: Scene) -> list[str]:
        path = scene.bids.parent / "filters.json"
        path.write_text(text, "utf-8")
        return ["--bids-filter-file", str(path), "--dry-run"]

    return prepare


ATTACKS = {
    "filters-list": Attack("a list as filters", _filters("[1]"), (64,), "must hold an object"),
}


@in_table(ATTACKS)
def test_a_wrong_command_line_ends_in_one_line(attack, scene):
    stands(attempt(scene, *attack.prepare(scene)), attack)
