"""What keeps the code readable: one vocabulary, layers in one direction, short functions."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from fusionprep import modalities

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path for package in ("fusionprep", "bids_app") for path in (ROOT / package).rglob("*.py")
)
LAYERS = (
    # the first imports nothing; each may import those before it, and its own
    {
        *("fusionprep.modalities", "fusionprep.errors", "fusionprep._version"),
        "fusionprep.plausibility",
        "fusionprep.streams",
    },
    {
        *("fusionprep.choices", "fusionprep.spaces", "fusionprep.suvr_regions"),
        "fusionprep.atlases",
        *("fusionprep.freesurfer", "fusionprep.point_spreads"),
        *("fusionprep.tracers", "fusionprep.files", "fusionprep.given", "fusionprep.machine"),
        *("fusionprep.devices", "fusionprep.reading", "fusionprep.regular", "fusionprep.signals"),
        "fusionprep.frame_windows",
    },
    {"fusionprep.arguments", "fusionprep.pages", "fusionprep.image", "fusionprep.plots"},
    {"fusionprep.models"},
    {
        "fusionprep.dicom",
        *("fusionprep.config", "fusionprep.config_checks", "fusionprep.config_file"),
        *("fusionprep.config_processing", "fusionprep.config_regions", "fusionprep.evaluation"),
    },
    {"fusionprep.bids"},
    {
        *("fusionprep.reports", "fusionprep.training", "fusionprep.demo"),
        *("fusionprep.classification", "fusionprep.reader_study"),
        *("fusionprep.cohort", "fusionprep.conversion"),
    },
    {"fusionprep.interfaces"},
    {"fusionprep.workflows", "fusionprep.commands"},
    {"fusionprep.cli"},
    {"bids_app"},
)
NAMED_HERE = (
    # the table, and what is named after it: training data of models, a column of the group table
    "fusionprep/modalities.py",
    "fusionprep/models/registry.py",
    "fusionprep/demo/",
)
WITH_TRACER_ETC = {
    word
    for modality in modalities.MODALITIES
    for word in (modality.name, modality.label)
    if modality is not modalities.T1W
}
"""Words that may not be compared. The T1w is not among the keys that are looked for: images of it
are called so in workflows, as is its space."""


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The layer's name of a module: a room, or a module beside the rooms."""
    parts = module.split(".")
    return parts[0] if parts[0] == "bids_app" else ".".join(parts[:2])


def imports_of(path: Path, *, at_run_time: bool = True) -> Iterator[str]:
    """Our own modules that a file imports, those for types alone left out."""
    tree = ast.parse(path.read_text("utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if at_run_time and id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if is_module(inner) else node.module


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


GRAPH = {
    module_of(path): {
        name for name in imports_of(path) if name.split(".")[0] in ("fusionprep", "bids_app")
    }
    for path in SOURCES
}


def test_every_module_has_a_layer():
    rooms = {room_of(module) for module in GRAPH} - {"fusionprep"}
    assert rooms == set().union(*LAYERS)


def test_no_arrow_goes_upwards():
    rank = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}
    wrong = [
        f"{module} imports {target}"
        for module, targets in GRAPH.items()
        for target in targets
        if module != "fusionprep" and target != "fusionprep"
        if rank[room_of(module)] < rank[room_of(target)]
        or (
            rank[room_of(module)] == rank[room_of(target)]
            and room_of(module) != room_of(target)
            and rank[room_of(module)] not in (1, 2, 4, 6, 8)
        )
    ]
    assert not wrong


def test_the_first_leaf_imports_nothing():
    assert not GRAPH["fusionprep.modalities"]


@pytest.mark.parametrize("room", ["image", "models", "evaluation"])
def test_rooms_for_notebooks_need_neither_nipype_nor_pybids(room):
    for path in (ROOT / "fusionprep" / room).rglob("*.py"):
        assert not {name.split(".")[0] for name in imports_of(path)} & {"nipype", "bids"}


def test_no_circle():
    def circle(module: str, trail: tuple[str, ...]) -> tuple[str, ...]:
        if module in trail:
            return (*trail[trail.index(module) :], module)
        if module in done:
            return ()
        for target in sorted(GRAPH.get(module, ())):
            if found := circle(target, (*trail, module)):
                return found
        done.add(module)
        return ()

    done: set[str] = set()
    assert not [found for module in GRAPH if (found := circle(module, ()))]


def constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Values that a module gives to names once and for all."""
    found: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            found |= {t.id: node.value for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found[node.target.id] = node.value
    return found


def words_in(node: ast.expr | None, known: dict[str, ast.expr]) -> set[str]:
    """Text in an expression, in what it holds, and in constants of the module that it names."""
    if isinstance(node, ast.Constant):
        return {node.value} if isinstance(node.value, str) else set()
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return set().union(*(words_in(item, known) for item in node.elts), set())
    if isinstance(node, ast.Dict):
        return set().union(*(words_in(key, known) for key in node.keys), set())
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("frozenset", "set", "tuple"):
        return set().union(*(words_in(item, known) for item in node.args), set())
    if isinstance(node, ast.Name) and node.id in known:
        return words_in(known[node.id], {k: v for k, v in known.items() if k != node.id})
    return set()


def compared_words(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Where words are compared, looked for, matched, or keys of a dictionary."""
    known = constants(tree)
    for node in ast.walk(tree):
        words: set[str] = set()
        if isinstance(node, ast.Compare):
            words = set().union(*(words_in(x, known) for x in (node.left, *node.comparators)))
        elif isinstance(node, ast.Dict):
            words = set().union(*(words_in(key, known) for key in node.keys), set())
        elif isinstance(node, ast.MatchValue):
            words = words_in(node.value, known)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("startswith", "endswith", "get", "index", "removeprefix"):
                words = set().union(*(words_in(item, known) for item in node.args), set())
        elif isinstance(node, ast.Subscript):
            words = words_in(node.slice, known)
        yield from ((node.lineno, word) for word in words)


def test_nothing_compares_the_name_of_a_modality():
    found = [
        f"{name}:{line}: {word!r}"
        for path in SOURCES
        if not (name := path.relative_to(ROOT).as_posix()).startswith(NAMED_HERE)
        for line, word in compared_words(ast.parse(path.read_text("utf-8")))
        if word in WITH_TRACER_ETC
    ]
    assert not found, "ask an attribute of the modality instead"


@pytest.mark.parametrize(
    "text",
    [
        'x == "ct"', 'x in ("pet", "other")', '{"FLAIR": 1}', 'x.startswith("PET")', "x == CT_NAME",
        'match x:\n    case "ct":\n        pass', 'table["T2w"]',
    ],
)  # fmt: skip
def test_the_walk_finds_them(text):
    words = {word for _, word in compared_words(ast.parse(f'CT_NAME = "ct"\n{text}'))}
    assert words & WITH_TRACER_ETC


def functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef):
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node


def test_functions_are_of_a_screenful():
    """At most 60 lines without the docstring."""
    long = []
    for path in SOURCES:
        for where, node in functions(path):
            documented = ast.get_docstring(node) is not None
            first = node.body[1] if documented and len(node.body) > 1 else node.body[0]
            header = node.body[0].lineno - node.lineno
            if (lines := node.end_lineno - first.lineno + 1 + header) > 60:
                long.append(f"{where} has {lines} lines")
    assert not long


def test_public_functions_take_few_parameters():
    """At most eight, keyword-only options with defaults aside."""
    many = []
    for path in SOURCES:
        for where, node in functions(path):
            positional = [*node.args.posonlyargs, *node.args.args]
            needed = [
                name
                for name, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                if default is None
            ]
            count = len([*positional, *needed]) - (
                positional[:1] != [] and positional[0].arg in ("self", "cls")
            )
            if not node.name.startswith("_") and count > 8:
                many.append(f"{where} takes {count}")
    assert not many


def test_files_are_short():
    long = {
        path.relative_to(ROOT).as_posix(): count
        for path in SOURCES
        if (count := len(path.read_text("utf-8").splitlines())) > 400
    }
    assert not long


def test_a_notebook_needs_few_names():
    import fusionprep

    for name in fusionprep.__all__:
        assert getattr(fusionprep, name) is not None
    assert inspect.isfunction(fusionprep.fuse)
    with pytest.raises(AttributeError, match="no attribute 'fuze'"):
        importlib.import_module("fusionprep").fuze  # noqa: B018
