"""A slice: a named query, live or frozen, as the database holds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from slicedb.errors import SliceError, suggesting
from slicedb.keys import Keys, mix
from slicedb.show import html

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from slicedb.models.model import Transform
    from slicedb.query import Query
    from slicedb.slices.calibration import SliceCalibration
    from slicedb.training import SliceDataset
    from slicedb.training.pictures import Dtype, Size
    from slicedb.training.pixels import Decoder

Members: TypeAlias = tuple[Keys, list[str]]
"""The keys and the ids of the same samples."""


Ask: TypeAlias = "Callable[[str], Query]"
"""Parses and binds a query text at once."""


@suggesting
@dataclass(frozen=True)
class Slice:
    """A named query, live or frozen."""

    name: str
    """Letters, digits, underscores."""
    text: str
    """The query; a frozen slice's is what it was frozen from."""
    kind: Literal["live", "frozen"] = "live"
    """Live: asked again at each use. Frozen: keeps its members."""
    version: int = 1
    """Counts up with each change, from 1."""
    description: str = ""
    """One sentence for people."""
    expect: tuple[str, ...] = ()
    """Expectations in their canonical form."""
    holdout: float | None = None
    """Share in (0, 1] that is never trained on; tests look at that share alone."""
    decide: Literal["interval", "point"] = "interval"
    """"point" compares values without asking for significance."""
    group: str = ""
    """A column of samples whose groups are independent where samples are not."""
    suite: str = ""
    """The folder it came from."""
    path: str = ""
    """The file it came from."""
    tables: dict[str, int] = field(default_factory=dict)
    """Version of each table a frozen slice was frozen at."""
    created_at: datetime | None = None
    """UTC."""
    calibration: SliceCalibration | None = None
    """The cut that labels gave its `matches`."""
    token: str = ""
    """Part of the names of a frozen slice's pins, so that two branches never share one."""
    predicted: tuple[str, ...] | None = None
    """The models that had predictions when it was frozen; None where that is not known."""
    numbered: bool = False
    """Whether it was asked for as `name@version`."""
    answer: Callable[[], Query] | None = field(default=None, repr=False, compare=False)
    """Asks for the members."""
    stored: Callable[[], Members] | None = field(default=None, repr=False, compare=False)
    """Gives the stored members of a frozen slice that are still in the database."""
    units: Callable[[Keys], Keys] | None = field(default=None, repr=False, compare=False)
    """Gives what the holdout share is drawn of: a hash of the group of each key."""
    ask: Ask | None = field(default=None, repr=False, compare=False)
    """Answers a text over the database it is a slice of."""
    named: Callable[[str], Slice] | None = field(default=None, repr=False, compare=False)
    """Gives the slices that its text names."""

    @property
    def title(self) -> str:
        """Its name; `name@version` where it was asked for so."""
        return f"{self.name}@{self.version}" if self.numbered else self.name

    def reference(self) -> Query:
        """Return the query `in_slice('name')`, which follows the slice when it is redefined."""
        assert self.ask is not None
        return self.ask(f"in_slice('{self.title}')")

    def __and__(self, other: Query | str) -> Query:
        """Return the query of the samples that are in both: `a & b`, `a & "label = 'cat'"`."""
        return self.reference() & other

    def __or__(self, other: Query | str) -> Query:
        """Return the query of the samples that are in either."""
        return self.reference() | other

    def __sub__(self, other: Query | str) -> Query:
        """Return the query of the samples that are in this one alone: `a - b` is `a & ~b`."""
        return self.reference() - other

    def __invert__(self) -> Query:
        """Return the query of the samples that are not in it."""
        return ~self.reference()

    @property
    def question(self) -> str:
        """The text that is asked: `text`, its `matches` bound to its calibration."""
        if self.calibration is None:
            return self.text
        return self.calibration.question(self.text, f"{self.name}@{self.version}")

    def query(self) -> Query:
        """Return the query over its members; nothing is read yet."""
        assert self.answer is not None
        return self.answer()

    def unseen(self) -> dict[str, int]:
        """Return how many samples its text cannot see, by embedding; see `Query.unseen`."""
        assert self.ask is not None
        return self.ask(self.text).unseen()

    def _repr_html_(self) -> str | None:
        """Show its name, its expectations and its pictures in a notebook."""
        if self.answer is None:
            return None
        expects = f", expects {'; '.join(self.expect)}" if self.expect else ""
        about = f" {self.kind}, version {self.version}{expects}"
        return html.element("p", html.element("b", self.title), about) + self.query()._repr_html_()

    def __repr__(self) -> str:
        expect = f", expect={list(self.expect)}" if self.expect else ""
        return (
            f"<Slice {self.title!r} ({self.kind}, version {self.version}): {self.text!r}{expect}>"
        )

    def keys(self) -> Keys:
        """Return int64 (n,): the keys of its members, in order."""
        return self.stored()[0] if self.stored is not None else self.query().keys()

    def ids(self) -> list[str]:
        """Return the ids of its members, in order."""
        return self.stored()[1] if self.stored is not None else self.query().ids()

    def count(self) -> int:
        """Return the number of its members."""
        return len(self.stored()[0]) if self.stored is not None else self.query().count()

    def __len__(self) -> int:
        return self.count()

    def holdout_keys(self) -> Keys:
        """Return the keys that tests look at: the holdout share, or all without one."""
        keys = self.keys()
        return keys if self.holdout is None else keys[self.held_out(keys)]

    def training_keys(self) -> Keys:
        """Return the keys that may be trained on: all but the holdout share."""
        keys = self.keys()
        return keys if self.holdout is None else keys[~self.held_out(keys)]

    def held_out(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Return bool (n,): which members the holdout share takes; adding data moves none."""
        assert self.holdout is not None
        units = self.units(keys) if self.group and self.units is not None else keys
        return in_share(units, self.holdout)

    def to_arrow(self) -> pa.Table:
        """Return the members as an Arrow table, one row per sample; see `Query.to_arrow`."""
        return self.query().to_arrow()

    def to_pandas(self) -> pd.DataFrame:
        """Return the members as a pandas frame; see `Query.to_pandas`."""
        return self.query().to_pandas()

    def split(
        self, valid: float | str | Query | Slice = 0.2, *, seed: int = 0, group: str = ""
    ) -> tuple[Query, Query]:
        """Return two queries, what to train on and what to validate on; see `Query.split`.

        Raises:
            SliceError: the slice has a holdout, which is neither.
        """
        if self.holdout is not None:
            raise SliceError(
                f"Slice '{self.name}' holds out {self.holdout:.0%}, which a split does not see.",
                "`to_torch()` leaves it out; split a query of the same text to use it.",
            )
        held = valid.reference() if isinstance(valid, Slice) else valid
        return self.query().split(held, seed=seed, group=group)

    def to_torch(
        self,
        *,
        transform: Transform | None = None,
        columns: Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
        decoder: Decoder | None = None,
        size: Size = None,
        dtype: Dtype | None = None,
    ) -> SliceDataset:
        """Return the samples that may be trained on as a torch dataset.

        `s.to_torch(transform=tf).loader(batch_size=256, shuffle=True)` is a loader; see
        `slicedb.training.to_torch` for the arguments.
        """
        return self.query().to_torch(
            self.training_keys(),
            transform=transform,
            columns=columns,
            classes=classes,
            decoder=decoder,
            size=size,
            dtype=dtype,
        )


def in_share(keys: Keys, share: float) -> npt.NDArray[np.bool_]:
    """Return bool (n,): whether each sample is in a stable share, whatever else is there.

    The keys are hashes of the ids already; they are mixed once more so that the share has nothing
    to do with any other use of the key.

    Args:
        keys: int64 (n,), not negative.
        share: in [0, 1].

    >>> in_share(np.array([1, 2, 3]), 1.0).tolist()
    [True, True, True]
    """
    return np.asarray((mix(keys) >> np.uint64(11)) < np.uint64(share * 2**53))
