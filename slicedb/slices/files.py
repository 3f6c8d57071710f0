"""Read slice files: a YAML head in the opening comment, then the query."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from slicedb.errors import CheckError, SliceError, did_you_mean
from slicedb.expectations.grammar import Check, parse_check
from slicedb.show.numbers import count

HEAD_KEYS = ("slice", "description", "expect", "holdout", "decide", "group")
"""The keys of a head."""

Decide = Literal["interval", "point"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COMMENT = re.compile(r"\s*/\*(.*?)\*/", re.DOTALL)
_LOOKS_LIKE_HEAD = re.compile(rf"^\s*(?:{'|'.join(HEAD_KEYS)})\s*:", re.MULTILINE)


@dataclass(frozen=True)
class SliceFile:
    """One slice, as its file defines it."""

    name: str
    """From the head, else the file's name."""
    text: str
    """The query, without the head."""
    description: str = ""
    """One sentence for people."""
    expect: tuple[Check, ...] = ()
    """Parsed expectations."""
    holdout: float | None = None
    """Share in (0, 1] that is kept out of training; tests look at that share alone."""
    decide: Decide = "interval"
    """"point" compares values without asking for significance."""
    group: str = ""
    """A column of samples whose groups are independent where samples are not."""
    path: str = ""
    """Where it was read from."""
    suite: str = ""
    """The folder below the root it was read from, "" for the root itself."""
    first_line: int = field(default=1, compare=False)
    """Line of the file that `text` begins on, from 1."""
    source: str = field(default="", compare=False, repr=False)
    """The whole file."""


_LONGEST = 200
"""Letters of a name, which is part of names of files."""


def check_name(name: str) -> str:
    """Return the name if it can be a slice's.

    Raises:
        SliceError: it is not letters, digits and underscores.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SliceError(
            f"{name!r:.100} cannot be the name of a slice.",
            "use letters, digits and underscores, not beginning with a digit.",
        )
    if len(name) > _LONGEST:
        raise SliceError(f"A name of {count(len(name), 'character')}.", f"use at most {_LONGEST}.")
    return name


def parse_share(value: object) -> float:
    """Return a share in (0, 1] from 0.2 or "20%".

    Raises:
        SliceError: it is neither.
    """
    text = str(value).strip()
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise SliceError(f"holdout is {value!r}.", "write a share such as 20% or 0.2.")
    return share


def find_files(path: str | os.PathLike[str]) -> list[Path]:
    """Return the slice files of a folder and its subfolders, sorted; or the one file named.

    Raises:
        SliceError: there is nothing at the path.
    """
    root = Path(path)
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise SliceError(f"No folder or file '{root}'.", "name a folder of .sql files.")
    return sorted(p for p in root.rglob("*.sql") if p.is_file())


def read_folder(path: str | os.PathLike[str]) -> list[SliceFile]:
    """Read every slice file of a folder; subfolders are suites of their own name.

    Raises:
        SliceError: nothing there, a file that is not right, or one name in two files.
        CheckError: an expectation does not parse.
    """
    root = Path(path)
    files = [read_file(p, root=root if root.is_dir() else p.parent) for p in find_files(root)]
    if not files:
        raise SliceError(f"'{root}' has no .sql files.", "one file a slice; see the README.")
    seen: dict[str, SliceFile] = {}
    for file in files:
        if file.name in seen:
            raise in_two_files(seen[file.name], file)
        seen[file.name] = file
    return files


def in_two_files(first: SliceFile, second: SliceFile) -> SliceError:
    """Return the error of one name in two files."""
    return SliceError(
        f"Slice '{first.name}' is in two files: {first.path} and {second.path}.",
        "give one of them another `slice:` name.",
    )


def read_file(
    path: str | os.PathLike[str], *, root: str | os.PathLike[str] | None = None
) -> SliceFile:
    """Read one slice file.

    Args:
        path: a text file in UTF-8.
        root: the folder whose subfolders are suites; by default the file's own.

    Raises:
        SliceError: the head is not right, or there is no query; names file and line.
        CheckError: an expectation does not parse; names file and line.
    """
    place = Path(path)
    try:
        source = place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SliceError(f"{place} cannot be read: {error}.", "one UTF-8 file a slice.") from None
    head, body_at = _split(source)
    values, lines = _read_head(head, place)
    body = source[body_at:]
    lead = len(body) - len(body.lstrip())
    text = body.strip().rstrip(";").rstrip()
    if not text:
        raise SliceError(f"{place} has no query.", "write it below the head.")
    suite = str(place.parent.relative_to(root)) if root is not None else "."
    return SliceFile(
        **_facts(values, lines, place),
        text=text,
        path=str(place),
        suite="" if suite == "." else suite.replace(os.sep, "/"),
        first_line=source.count("\n", 0, body_at + lead) + 1,
        source=source,
    )


def _split(source: str) -> tuple[str, int]:
    """Return the head (with the newlines before it, so that lines count) and the body's start."""
    comment = _COMMENT.match(source)
    if comment is None:
        return "", 0
    inside = comment[1]
    if not _LOOKS_LIKE_HEAD.search(inside):
        return "", 0  # a comment like any other
    return "\n" * source.count("\n", 0, comment.start(1)) + inside, comment.end()


def _read_head(head: str, place: Path) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """Return the values of the head, and the lines each key and its items stand on."""
    import yaml

    if not head.strip():
        return {}, {}
    try:
        # A few aliases of aliases make a text of many gigabytes.
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(head)):
            raise SliceError(f"{place}: the head has aliases (*name).", "write the text out.")
        node = yaml.compose(head, Loader=yaml.SafeLoader)
        values = yaml.safe_load(head)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        if isinstance(error, SliceError):
            raise
        fact = str(error).split("\n")[0][:200] or type(error).__name__
        raise SliceError(
            f"{place}: a value of the head cannot be read: {fact}.", "quote it, as text."
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        fact = getattr(error, "problem", None) or str(error)
        raise SliceError(
            f"{place}{line}: the head is not YAML: {fact}.", "quote texts that hold ': ' or '#'."
        ) from None
    if not isinstance(values, dict):
        raise SliceError(f"{place}: the head is not `key: value` lines.", _keys_hint())
    lines: dict[str, list[int]] = {}
    for key, value in node.value:
        name, line = key.value, key.start_mark.line + 1
        if name not in HEAD_KEYS:
            hint = did_you_mean(name, HEAD_KEYS, "keys of a head")
            raise SliceError(f"{place}, line {line}: unknown key '{name}' in the head.", hint)
        if name in lines:
            raise SliceError(f"{place}, line {line}: '{name}' is there twice.", "keep one.")
        items = value.value if isinstance(value, yaml.SequenceNode) else [value]
        lines[name] = [line, *(item.start_mark.line + 1 for item in items)]
    return values, lines


def _facts(values: dict[str, Any], lines: dict[str, list[int]], place: Path) -> dict[str, Any]:
    def at(key: str, item: int = 0) -> str:
        return f"{place}, line {lines[key][item]}" if key in lines else str(place)

    try:
        name = check_name(values.get("slice", place.stem))
    except SliceError as error:
        raise SliceError(f"{at('slice')}: {error.message}", error.hint) from None
    decide = values.get("decide", "interval")
    if decide not in ("interval", "point"):
        hint = did_you_mean(str(decide), ("interval", "point"), "ways to decide")
        raise SliceError(f"{at('decide')}: decide is {decide!r}.", hint)
    holdout = None
    if values.get("holdout") is not None:
        try:
            holdout = parse_share(values["holdout"])
        except SliceError as error:
            raise SliceError(f"{at('holdout')}: {error.message}", error.hint) from None
    return {
        "name": name,
        "description": str(values.get("description") or "").strip(),
        "expect": tuple(
            _located(text, at("expect", i + 1)) for i, text in enumerate(_texts(values))
        ),
        "holdout": holdout,
        "decide": decide,
        "group": str(values.get("group") or "").strip(),
    }


def _texts(values: dict[str, Any]) -> Sequence[object]:
    expect = values.get("expect") or []
    return expect if isinstance(expect, list) else [expect]


def _located(text: object, place: str) -> Check:
    try:
        return parse_check(str(text))
    except CheckError as error:
        raise CheckError(f"{place}: {error.message}", error.hint) from None


def _keys_hint() -> str:
    return f"keys of a head: {', '.join(HEAD_KEYS)}."
