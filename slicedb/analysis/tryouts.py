"""Try a model on several pictures: a row each, and what it looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from slicedb.cam import explained
from slicedb.cam.overlays import jpeg
from slicedb.errors import CheckError
from slicedb.inference import Predicted, predict_pictures
from slicedb.show.html import cards
from slicedb.show.numbers import count
from slicedb.show.tabular import Figure, Part, Tabular

if TYPE_CHECKING:
    from slicedb.cam import Explained
    from slicedb.models import Model
    from slicedb.models.model import Picture
    from slicedb.progress import Watch

_CARDS, _SIDE = 24, 200


@dataclass(frozen=True, eq=False)
class Tryouts(Tabular):
    """What a model says of several pictures."""

    predicted: Predicted
    maps: tuple[Explained, ...] = field(default=(), repr=False)
    """What it looked at in each of them, where that was asked for."""
    notes: tuple[str, ...] = ()

    def to_arrow(self) -> pa.Table:
        """Return the rows of the predictions, see `Predicted`."""
        return self.predicted.rows

    def parts(self) -> Iterable[Part]:
        """Yield the predictions, and the first maps."""
        yield from self.predicted.parts()
        yield from self.notes
        if self.maps:
            some = self.maps[:_CARDS]
            yield Figure(
                lambda: cards([(jpeg(m.overlay), m.picture, m.target) for m in some], _SIDE)
            )


def try_several(
    model: Model,
    images: Iterable[Picture],
    *,
    cam: str | None = None,
    target: str = "prediction",
    method: str = "gradcam",
    layer: str | None = None,
    progress: Watch = None,
) -> Tryouts:
    """Run a model on several pictures; see `Database.try_out`.

    Args:
        cam: a folder to save the maps in; "" makes them for the result alone.

    Raises:
        ModelError: something is no picture, or the model has no layer to explain.
        CheckError: the maps cannot be saved there.
    """
    images = list(images)
    predicted = predict_pictures(model, images, progress=progress)
    if cam is None:
        return Tryouts(predicted)
    maps = tuple(explained(model, images, target=target, method=method, layer=layer))
    notes = [f"{method} of '{target}', laid over the pictures"]
    empty = sum(one.map is not None and not one.map.any() for one in maps)
    if empty:
        notes.append(f"{count(empty, 'map')} empty: nothing speaks for the class there.")
    if cam:
        notes.append(f"saved in {cam}: {count(_saved(maps, Path(cam)), 'picture')}")
    return Tryouts(predicted, maps, tuple(notes))


def _saved(maps: Iterable[Explained], folder: Path) -> int:
    """Write the overlays, and return how many there were; none is written over another."""
    names: set[str] = set()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for i, one in enumerate(maps):
            if one.overlay is not None:
                name = Path(one.picture).stem
                name = name if name not in names else f"{name}-{i}"
                names.add(name)
                one.overlay.save(folder / f"{name}.png")
    except OSError as error:
        raise CheckError(
            f"The maps cannot be saved in '{folder}': {error}.", "name a folder."
        ) from error
    return len(names)


__all__ = ["Tryouts", "try_several"]
