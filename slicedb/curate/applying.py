"""Carry out what the review of duplicates proposes, in one commit."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias, get_args

from slicedb import edits
from slicedb.commits import Commit, Commits
from slicedb.curate.duplicates import Duplicates
from slicedb.editing import finish
from slicedb.errors import CheckError, did_you_mean
from slicedb.schema import SAMPLES, keys_of
from slicedb.show import numbers
from slicedb.store import Store

Apply: TypeAlias = Literal["tag", "delete"]

_UNDER_WAY = "slicedb:duplicates"
"""Where the metadata of `samples` names the commit from which a call set out, and what it does. It
speaks of a call that was cut off for as long as that commit is the last one."""


def check(apply: str | None) -> None:
    """Refuse what cannot be done, before the duplicates are looked for.

    Raises:
        CheckError: there is no such action.
    """
    if apply is not None and apply not in get_args(Apply):
        raise CheckError(f"No action '{apply}'.", did_you_mean(apply, get_args(Apply), "actions"))


def carry_out(
    store: Store, found: Duplicates, apply: Apply, tag: str, *, conflicts: bool
) -> Duplicates:
    """Tag or delete all samples but the one to keep of each group, and commit.

    What was not committed before is committed first, so that a reset to that commit undoes this and
    nothing else.

    Args:
        store: the database.
        found: what was found.
        apply: what to do.
        tag: the tag.
        conflicts: also delete from groups whose labels disagree: one of the labels is wrong, and a
            person knows which.

    Returns:
        What was found, with notes of what was done.
    """
    is_alone = apply == "delete" and not conflicts
    chosen = [g for g in found.groups if not (is_alone and len(g.labels) > 1)]
    ids = [name for group in chosen for name in group.ids[1:]]
    notes = list(found.notes)
    if len(chosen) < len(found.groups):
        notes.append(
            f"{numbers.count(len(found.groups) - len(chosen), 'group')} left alone, whose labels "
            "disagree: mend the labels first, or delete with --conflicts."
        )
    if apply == "tag":
        ids = _without(store, ids, tag)
    commits = Commits(store, finish)
    begun = _begun(store, commits)
    if not ids and not begun:
        return replace(found, notes=(*notes, "Nothing was changed."))
    noun = numbers.count(len(ids), "duplicate")
    done = begun or (f"Tag {noun} with {tag}" if apply == "tag" else f"Delete {noun}")
    before = _before(commits, begun)
    store.set_metadata(SAMPLES, {_UNDER_WAY: f"{before.id} {done}"})
    if apply == "tag":
        edits.tag(store, ids, [tag])
    else:
        edits.delete(store, ids)
    after = commits.commit(done)
    notes.append(f"{done}: commit {after.id}; `slicedb reset {before.id}` undoes it.")
    return replace(found, notes=tuple(notes))


def _without(store: Store, ids: list[str], tag: str) -> list[str]:
    """Return those samples that do not have a tag yet."""
    tags = store.take(SAMPLES, keys_of(ids), ["tags"], ids=ids)["tags"].to_pylist()
    return [name for name, words in zip(ids, tags) if tag not in (words or [])]


def _begun(store: Store, commits: Commits) -> str:
    """Return what a call before this one had begun and was cut off from; "" if there is none."""
    commit, _, done = store.metadata(SAMPLES).get(_UNDER_WAY, "").partition(" ")
    return done if commit and commits.history() and commits.get("HEAD").id == commit else ""


def _before(commits: Commits, begun: str) -> Commit:
    """Return the commit to which a reset undoes what follows, and nothing else.

    What is not committed after a call that was cut off was its work.
    """
    if commits.history() and (begun or commits.is_clean()):
        return commits.get("HEAD")
    return commits.commit("Before duplicates were handled")
