"""Let the texts and expectations of slices follow a model that gets another name."""

from __future__ import annotations

import json
import re

import pyarrow as pa

from slicedb import schema, sql
from slicedb.store import Store

_TOKEN = re.compile(
    r"""(?P<skip>'(?:[^']|'')*' | --[^\n]* | /\*.*?\*/)   # strings and comments stay
      | (?P<dot>\.)?(?P<name>"(?:[^"]|"")*"|[A-Za-z_]\w*)(?P<alias>\s*=>)?""",
    re.VERBOSE | re.DOTALL,
)
_WORSE = re.compile(r"(no\s+worse\s+than\s+)('[^']*'|\"[^\"]*\"|\S+)")


def rename_model(store: Store, old: str, new: str) -> list[str]:
    """Change the name of a model wherever slices name it, and return what still names the old one.

    Args:
        store: the database.
        old: the name that the model had.
        new: its name now.

    Returns:
        A sentence for the slices that were changed, and one for the files that hold the old name.
    """
    if not store.has(schema.SLICES):
        return []
    changed: list[str] = []
    files: list[str] = []

    def renamed(rows: pa.Table) -> pa.Table:
        changed.clear()
        files.clear()
        after = rows.to_pylist()
        for row in after:
            text = with_model(row["text"] or "", old, new)
            expect = [check_with_model(check, old, new) for check in row["expect"] or ()]
            head = json.loads(row["head"] or "{}")
            if (text, expect) != (row["text"] or "", list(row["expect"] or ())):
                changed.append(row["name"])
                if head.get("path"):
                    files.append(head["path"])
                row["text"], row["expect"] = text, expect
            if old in (head.get("predicted") or ()):
                head["predicted"] = [new if name == old else name for name in head["predicted"]]
                row["head"] = json.dumps(head)
        return pa.Table.from_pylist(after, schema=rows.schema)

    store.rewrite(schema.SLICES, renamed)
    notes = []
    if changed:
        notes.append(f"slices that name it follow: {', '.join(dict.fromkeys(changed))}")
    if files:
        notes.append(
            f"files that still name '{old}', and bring it back when they are applied: "
            f"{', '.join(dict.fromkeys(files))}"
        )
    return notes


def with_model(text: str, old: str, new: str) -> str:
    """Return a query text that names a model by its new name.

    >>> with_model("v3.loss > 2 AND label <> 'v3' AND x.v3 AND \\"v3\\".correct", "v3", "v-4")
    '"v-4".loss > 2 AND label <> \\'v3\\' AND x.v3 AND "v-4".correct'
    """

    def named(match: re.Match[str]) -> str:
        word = match["name"]
        if match["skip"] or match["dot"] or match["alias"] or word is None:
            return match[0]
        plain = word[1:-1].replace('""', '"') if word.startswith('"') else word
        return sql.name(new) if plain.lower() == old.lower() else match[0]

    return _TOKEN.sub(named, text)


def check_with_model(check: str, old: str, new: str) -> str:
    """Return an expectation that compares with a model by its new name."""

    def named(match: re.Match[str]) -> str:
        if match[2].strip("'\"") != old:
            return match[0]
        return match[1] + (new if re.fullmatch(r"[\w./-]+", new) else f"'{new}'")

    return _WORSE.sub(named, check)
