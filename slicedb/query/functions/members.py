"""Functions about membership: in_slice, has_tag, in_split."""

from __future__ import annotations

from slicedb.query.bound.bound import SubQuery
from slicedb.query.bound.relation import OWN_KEY
from slicedb.query.functions.function import Call, Function, Parameter, Sql
from slicedb.sql import quoted


def _in_slice(call: Call) -> Sql:
    name, anchor = call.text("name"), call.anchor()
    members = call.binding.slice_named(call.binding, name, call.positional[0])
    alias = quoted(anchor.alias)
    if isinstance(members, str):
        anchor.keyed = True
        return f'({alias}."{OWN_KEY}" IN (SELECT "key" FROM {quoted(members)}))'
    call.binding.bound.parts.append(members)
    # Boxes have their sample's key and id too.
    own, column = (OWN_KEY, "key") if members.narrows else ("id", "id")
    anchor.keyed = anchor.keyed or members.narrows
    if not members.narrows:
        anchor.columns.add("id")
    head = f'({alias}."{own}" IN (SELECT "{column}" FROM (\n'
    return head, SubQuery(members), "\n)))"


def _has_tag(call: Call) -> Sql:
    return f"coalesce(list_contains({call.column('tags')}, ", call.sql("tag"), "), false)"


def _in_split(call: Call) -> Sql:
    return f"coalesce({call.column('split')} = (", call.sql("split"), "), false)"


FUNCTIONS = (
    Function(
        "in_slice",
        "in_slice('name')",
        "BOOLEAN",
        "Whether the sample is in the slice. A live slice is run as part of the query, a frozen "
        "one is its stored ids.",
        "in_slice('reds') AND NOT m1.correct",
        _in_slice,
        (Parameter("name"),),
    ),
    Function(
        "has_tag",
        "has_tag('tag')",
        "BOOLEAN",
        "Whether the sample carries the tag; false where it has no tags.",
        "has_tag('night')",
        _has_tag,
        (Parameter("tag"),),
    ),
    Function(
        "in_split",
        "in_split('split')",
        "BOOLEAN",
        "Whether the sample is in the split; false where it has none.",
        "in_split('test')",
        _in_split,
        (Parameter("split"),),
    ),
)
