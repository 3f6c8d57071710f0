"""The verbs by which people change samples: labels, tags, boxes, pending edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from slicedb.database.given import texts
from slicedb.database.upkeep import Upkeep
from slicedb.errors import CheckError, SliceDBError, did_you_mean, suggesting

if TYPE_CHECKING:
    from slicedb.analysis import Cleaner
    from slicedb.database.given import Labels, Names
    from slicedb.editing import (
        ApplyReport,
        BoxGiven,
        DecideReport,
        Edit,
        EditReport,
        SetGiven,
    )
    from slicedb.editing import State as EditState
    from slicedb.edits import LabelsReport
    from slicedb.selection import On


@suggesting
class Editing(Upkeep):
    """Change samples: labels, tags, boxes, pending edits."""

    def relabel(self, on: On, label: str | None) -> int:
        """Set the ground truth of samples, and return how many of them changed.

        Loss and correctness of every model are derived again from the stored probabilities.

        Args:
            on: the samples.
            label: the label; None removes it.
        """
        from slicedb import edits

        return edits.relabel(self.store, self._selection.ids(on), label)

    def map_labels(
        self, labels: Labels | None = None, *, on: On = None, model: str | None = None
    ) -> LabelsReport:
        """Give the labels of samples other names: labels, lists of them, and those of boxes.

        Loss and correctness of every model are derived again from the stored probabilities.

        Args:
            labels: a mapping, class names in the order of their numbers (`0`, `class_00`), texts
                old=new, or a file of these.
            on: the samples; by default all of them.
            model: take the classes of this model for the names.

        Raises:
            ClassesError: nothing is named, or a label twice.
            UnknownModelError: no model of that name.
        """
        from slicedb import edits

        if (labels is None) == (model is None):
            raise SliceDBError("Give names for the labels, or a model with classes.", "one of two.")
        if model is not None:
            labels = list(self.models.show(model).classes)
        return edits.rename_labels(self.store, self._selection.ids(on), labels or [])

    def tag(self, on: On, *tags: str, remove: bool = False) -> int:
        """Add tags to samples, or remove them, and return how many samples changed.

        Args:
            on: the samples.
            *tags: words.
            remove: remove the tags instead.
        """
        from slicedb import edits

        return edits.tag(self.store, self._selection.ids(on), tags, remove=remove)

    def edit(
        self,
        id: str,
        *,
        remove_box: Sequence[int] = (),
        set_box: SetGiven = (),
        add_box: Sequence[BoxGiven] = (),
        label: str | None = None,
        labels: Names = None,
        tag: Names = None,
        untag: Names = None,
        author: str | None = None,
    ) -> EditReport:
        """Change one sample: its boxes, its label or labels, its tags; `undo` takes that back.

        The edit is written down with its author and its inverse, and the predictions of every model
        are judged anew. One that was cut off is finished by the next call.

        Args:
            id: the sample.
            remove_box: numbers of boxes, from 1, as `index` of FROM objects has them.
            set_box: the number of a box and what changes: label=dog, or bbox=10,10,20,20 (in Python
                also a mapping of numbers to mappings). Numbers are those before the edit.
            add_box: a new box: label=cat,bbox=10,10,20,20 (x, y, width, height in pixels; in
                Python also a mapping).
            label: the label of the sample; an empty text removes it.
            labels: all labels of a sample that may have several; an empty text alone says that it
                has none of them.
            tag: a tag to give it.
            untag: a tag to take from it.
            author: who edits; by default SLICEDB_AUTHOR, or the user.

        Raises:
            UnknownSampleError: there is no such sample.
            CheckError: nothing is asked for, there is no such box, or a box is none.
        """
        from slicedb import editing
        from slicedb.editing.wanted import wanted

        boxes = [add_box] if isinstance(add_box, (str, Mapping)) else add_box
        asked = wanted(remove_box, set_box, boxes, label, texts(tag), texts(untag), labels=labels)
        return editing.edit(self.store, id, asked, author)

    def decide(
        self,
        ids: str | Sequence[str],
        *,
        keep: bool = False,
        skip: bool = False,
        delete: bool = False,
        remove_box: Sequence[int] = (),
        set_box: SetGiven = (),
        add_box: Sequence[BoxGiven] = (),
        label: str | None = None,
        labels: Names = None,
        tag: Names = None,
        untag: Names = None,
        queue: str | None = None,
        reason: str | None = None,
        author: str | None = None,
    ) -> DecideReport:
        """Record decisions about samples; `apply_edits` carries them out in one commit.

        Nothing changes before: queries see the samples as they are. `undo` takes the last decision
        back, `discard_edits` all of them, and `edits(state="pending")` lists them. Keeping a sample
        takes back what the same author decided of it before, an edit takes back a deletion.

        Args:
            ids: the samples.
            keep: leave them as they are.
            skip: decide another time.
            delete: remove them.
            remove_box: see `edit`; boxes are numbered as the author's earlier decisions leave them.
            set_box: see `edit`.
            add_box: see `edit`.
            label: the label of the samples; an empty text removes it.
            labels: see `edit`.
            tag: a tag to give them.
            untag: a tag to take from them.
            queue: the review that it is decided in.
            reason: why.
            author: who decides; by default SLICEDB_AUTHOR, or the user.

        Raises:
            UnknownSampleError: there is no such sample.
            CheckError: nothing is decided or two things at once, there is no such box, or a box is
                none.
        """
        from slicedb import editing
        from slicedb.editing.wanted import wanted

        boxes = [add_box] if isinstance(add_box, (str, Mapping)) else add_box
        asked = wanted(
            remove_box,
            set_box,
            boxes,
            label,
            texts(tag),
            texts(untag),
            labels=labels,
            keep=keep,
            skip=skip,
            delete=delete,
        )
        return editing.decide(self.store, texts(ids), asked, author, queue, reason)

    def apply_edits(
        self,
        message: str | None = None,
        *,
        author: str | None = None,
        queue: str | None = None,
    ) -> ApplyReport:
        """Apply the pending decisions, in one step and one commit.

        A decision on a sample that has changed since (another label or boxes, another picture,
        gone) is refused, and the report says why; the others are applied. Tags that others give or
        take meanwhile refuse nothing but a deletion. A call that was cut off is finished by the
        next one, by the next commit, or when the database is opened next. A commit, checkout or
        reset of another thread or process waits meanwhile, so that none holds a part.

        Args:
            message: message of the commit; by default what was changed.
            author: apply the decisions of this author; by default everybody's.
            queue: apply those of this review; by default of all.

        Raises:
            DatabaseError: a checkout was cut off.
        """
        from slicedb import editing

        return editing.apply(self.store, self.commits, message, author, queue)

    def discard_edits(self, *, author: str | None = None, queue: str | None = None) -> int:
        """Take back what was decided and not applied, and return how many decisions those were.

        Args:
            author: take back the decisions of this author; by default everybody's.
            queue: take back those of this review; by default of all.
        """
        from slicedb import editing

        return editing.discard(self.store, author, queue)

    def edits(
        self,
        id: str | None = None,
        *,
        state: EditState | None = None,
        author: str | None = None,
        queue: str | None = None,
    ) -> list[Edit]:
        """Return the edits of a sample, or of all, the first one first, with their authors.

        Args:
            id: the sample; by default all of them.
            state: how far they got: pending (decided and not applied), done, undone, discarded,
                refused; by default all.
            author: those of this author.
            queue: those of this review.

        Raises:
            CheckError: there is no such state.
        """
        from slicedb.editing import edits_of
        from slicedb.editing.entry import STATES

        if state is not None and state not in STATES:
            hint = did_you_mean(state, STATES, "states")
            raise CheckError(f"An edit is never '{state}'.", hint)
        states = () if state is None else (state,)
        return edits_of(self.store, id, states=states, author=author, queue=queue)

    def undo(
        self,
        id: str | None = None,
        *,
        number: int | None = None,
        author: str | None = None,
        queue: str | None = None,
        force: bool = False,
    ) -> EditReport:
        """Take the last edit back, and judge the predictions of its sample anew.

        Said again, it takes back the one before. A decision that was not applied is forgotten; a
        sample that was deleted comes back with all that was computed from it, until `cleanup`
        removes the versions that have it.

        Args:
            id: take back the last edit of this sample; by default the last of all.
            number: take back the edit of the sample that has this number.
            author: take back the last edit of this author.
            queue: take back the last edit of this review.
            force: take it back even if the sample was changed in another way since.

        Raises:
            CheckError: there is no edit to take back, the sample was changed since, or a later
                edit counts on it.
        """
        from slicedb import editing

        return editing.undo(self.store, id, number=number, author=author, queue=queue, force=force)

    def delete(self, on: On) -> int:
        """Remove samples with their images, vectors and predictions, and return how many.

        Commits and frozen slices keep the versions that they pinned.
        """
        from slicedb import edits

        return edits.delete(self.store, self._selection.ids(on))

    def clean(
        self,
        on: On = None,
        *,
        model: str | None = None,
        n: int | None = None,
        session: str = "clean",
        again: bool = False,
    ) -> Cleaner:
        """Go through samples one by one: `for case in db.clean(model="v3")`, then `save()`.

        `case.keep()`, `case.relabel("dog")` and `case.delete()` are written down and change
        nothing until `save` carries all of them out in one commit; `undo` takes the last one back.
        A session that was interrupted goes on where it stopped.

        Args:
            on: the samples, in their order; by default those that the model has wrong, or all.
            model: show what this model says; by default its mistakes, the largest losses first.
            n: look at no more than this many samples.
            session: the name under which decisions are kept.
            again: also show samples that were kept before in a session of this name.

        Raises:
            UnknownModelError: no predictions of that model.
            ModelError: the session has a name that cannot be one.
        """
        from slicedb.analysis import Cleaner
        from slicedb.analysis.cleaning import mistakes_of
        from slicedb.judge import load

        if model is not None:
            load(self.store, model)  # a misspelt name is told
        if on is None and model is not None:
            on = mistakes_of(self.store, model)
        return Cleaner(
            self.store,
            self.keys(on),
            session,
            self.commits,
            model=model,
            again=again,
            most=n,
        )
