"""Find phrases that a native speaker would not write; run by ``make lint``.

Read are docstrings, comments and other strings of Python files, and all of Markdown, templates and
configuration. A phrase may be broken over lines, comments or adjacent strings. What is found is
printed as ``file:line: phrase: suggestion``, and the exit code is then 1.
"""

import re
import sys
import tokenize
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Named one by one, because a checkout may also hold the outputs and work folders of runs.
PLACES = (
    "*.md",
    "*.toml",
    ".ci/*",
    ".github/**/*",
    "Dockerfile",
    "Makefile",
    "benchmarks/**/*",
    "bids_app/**/*",
    "docs/**/*",
    "fusionprep/**/*",
    "tests/**/*",
    "web/*.mjs",
    "web/src/**/*",
)
SUFFIXES = {
    "",
    ".css",
    ".html",
    ".js",
    ".json",
    ".md",
    ".mjs",
    ".py",
    ".sh",
    ".toml",
    ".tpl",
    ".yml",
}

# This list and its test; bundled scripts of others; records of how the shipped weights were made.
EXEMPT = re.compile(
    r"\.ci/prose\.py|tests/test_prose\.py|fusionprep/data/web/.*"
    r"|fusionprep/data/weights/.*\.(json|toml)"
)

# A phrase as a regular expression to what to write in its place. A space stands for any white
# space, a line break included. Case is ignored but in (?-i:...).
PHRASES = {
    # literal translations
    r"\ban own\b": "your own, or ... of its own",
    r"(?-i:\bOwn\b)": "your own, or ... of its own",
    r"(?<!your )(?<!'s )(?<!our )(?<!an )\bown (training|weights)\b": "your own, the user's own",
    r"\b(an?|each|every|one) ((earlier|finished|later|long|new|second) )?training\b"
    r"(?! (and|configuration|curve|data|folder|image|log|loop|loss|option|pair|patient|run|sample"
    r"|script|set|slice|step|subject|time)s?\b)": "a training run",
    r"\btrainings\b": "training runs",
    r"\bgo(es)? before\b": "takes precedence over",
    r"(?<!there )\b(is|are) (?-i:none)\b(?! of (my|our|your) business)": "is not one",
    r"(?<!there )(?<!here )\b(is|are|was|were) no (?!\w+er\b|doubt|help|less|match|matter|more|need"
    r"|one|point|reason|such|use|way|worse)\w+": "is not a",
    r"\b(is|are) (for|of) no (?!help|interest|use)\w+": "belongs to no ..., matches no ...",
    r"\bfrom (where|which) on\b": "at or above which, from ... onwards",
    r"\b(can|could|may|might|to)( ?not)? be had\b": "is not available",
    r"\bno news\b": "adds nothing",
    r"\bhow (he|it|she|that|they|this) (are|is) called\b": "what it is called",
    r"\b(allow|enable|permit)s? to\b": "lets you",
    r"\bas by\b": "as in, as ... does",
    r"\bas of (?!\d|now\b|today|version)": "as in, as defined by",
    r"\bgiven by file\b": "given as a file",
    r"\bin few pixels\b": "at low resolution",
    r"\bin the mean(?=[.,;:)]|$)": "on average",
    r"\bin turns\b": "in turn",
    r"\bso many\b(?! that)": "this many, up to ...",
    r"\bsome (days|hours|minutes|seconds)\b": "a few",
    r"(?<!as it )(?<!as they )\bstands? (among|in its|in the|under)\b": "is in",
    r"\btells? (another|no|none)\b": "gives, names, says",
    r"\btell(ing|s)? of\b": "says about, shows",
    r"\btime of modification\b": "modification time",
    r"\bwhat comes of\b": "the result of",
    # "failed alike", but not "look alike" or "how alike"
    r"(?<!how )(?<!look )(?<!looks )(?<!never )(?<!more )(?<!much )(?<!are )(?<!is )"
    r"\balike(?=[.,;:)]|$| from)": "in the same way, like this",
    r"\b0 at best\b": "best 0, whose best value is 0",
    r"\b(below|beneath|beside|under) each other\b": "one below the other, side by side",
    r"\bgo(es|ing)? on from\b": "resume from",
    r"\bmore suit\b": "use more on",
    r"\b(and|or) the like\b": "and so on",
    # out of use
    r"\banew\b": "again",
    r"\blest\b": "so that ... not",
    r"\bshall\b": "should, must, will",
    r"\bthrice\b": "three times",
    r"\b(here|there|where)(in|of|upon|with)\b": "in it, of it, in which, of which",
    r"\b(hitherto|thence|whence)\b": "so far, from there, from where",
}
_PATTERNS = [(re.compile(phrase, re.IGNORECASE), better) for phrase, better in PHRASES.items()]


def files(root: Path = ROOT) -> list[Path]:
    """The files whose prose is read, sorted."""
    found = {path for place in PLACES for path in root.glob(place) if path.is_file()}
    return sorted(
        path
        for path in found
        if path.suffix in SUFFIXES
        and "__pycache__" not in path.parts
        and not EXEMPT.fullmatch(path.relative_to(root).as_posix())
    )


def findings(path: Path) -> list[tuple[int, str, str]]:
    """Line, phrase and suggestion of everything found in a file, in order."""
    found = []
    for passage in python_passages(path) if path.suffix == ".py" else text_passages(path):
        text, starts, lines = "", [], []
        for first, part in passage:
            for word in re.finditer(r"\S+|\s+", part):
                starts.append(len(text))
                lines.append(first + part.count("\n", 0, word.start()))
                blank = word[0].isspace()
                text += "" if blank and text.endswith(" ") else " " if blank else word[0]
        for pattern, better in _PATTERNS:
            for match in pattern.finditer(text.rstrip()):
                line = lines[bisect_right(starts, match.start()) - 1]
                found.append((line, match[0].strip(), better))
    return sorted(found)


def text_passages(path: Path) -> Iterator[list[tuple[int, str]]]:
    """The whole of a file, without the signs that begin the lines of a comment."""
    text = path.read_text("utf-8")
    yield [(1, re.sub(r"(?m)^\s*(#|//|\*|>)+", _blank, text))]


def python_passages(path: Path) -> Iterator[list[tuple[int, str]]]:
    """Comments on successive lines, and adjacent strings: first line and text of each."""
    comments: list[tuple[int, str]] = []
    strings: list[tuple[int, str]] = []
    depth = 0  # of f-strings, which are several tokens from Python 3.12 on
    with tokenize.open(path) as stream:
        tokens = list(tokenize.generate_tokens(stream.readline))
    for token in tokens:
        kind = tokenize.tok_name[token.type]
        line = token.start[0]
        if kind == "COMMENT":
            if comments and line != comments[-1][0] + 1:
                yield comments
                comments = []
            comments.append((line, " " + token.string.lstrip("#")))
        elif kind == "STRING":
            strings.append((line, _unquoted(token.string)))
        elif kind.endswith("STRING_MIDDLE"):
            strings.append((line, _unescaped(token.string)))
        elif kind.endswith("STRING_START"):
            depth += 1
        elif kind.endswith("STRING_END"):
            depth -= 1
        elif kind != "NL" and depth == 0 and strings:
            yield strings
            strings = []
    yield from filter(None, (comments, strings))


def _unquoted(literal: str) -> str:
    """The text between the quotes; what an f-string computes is blank."""
    opening = re.match(r"""(?i)([a-z]*)('{3}|"{3}|'|")""", literal)
    text = literal[len(opening[0]) : -len(opening[2])]
    if "f" in opening[1].lower():
        text = re.sub(r"\{[^{}]*\}", _blank, text)
    return _unescaped(text)


def _unescaped(text: str) -> str:
    return re.sub(r"\\[nt]", _blank, text)


def _blank(match: re.Match[str]) -> str:
    """As many spaces and line breaks as there were characters, so that lines can be counted."""
    return re.sub(r"\S", " ", match[0])


def main(paths: Iterable[Path]) -> int:
    """Print what is found in the files; 1 when there is anything."""
    found = False
    for path in paths:
        for line, phrase, better in findings(path):
            found = True
            where = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
            print(f"{where}:{line}: {phrase!r}: {better}")
    return int(found)


if __name__ == "__main__":
    sys.exit(main([Path(name).resolve() for name in sys.argv[1:]] or files()))
