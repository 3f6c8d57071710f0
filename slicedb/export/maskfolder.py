"""Write pictures and label maps beside them: images/, masks/ and classes.txt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slicedb.export.about import Sidecar, about, as_text, said
from slicedb.export.folder import file_name, write_images
from slicedb.export.labelmaps import maps_of
from slicedb.export.tables import metadata
from slicedb.ingest.format import Written
from slicedb.keys import Keys
from slicedb.schema import SAMPLES

if TYPE_CHECKING:
    from slicedb.store import Store


def write_masks(store: Store, keys: Keys, path: Path) -> Written:
    """Write a PNG of the numbers of the classes per picture; `slicedb ingest` reads them back.

    classes.txt names the classes by number, for `--mask-classes`; boxes have no place here.
    """
    taken: set[str] = set()
    columns = said(store.schema(SAMPLES))
    columns += [name for name in ("split",) if name not in columns]
    stems: dict[str, str] = {}
    (path / "masks").mkdir(parents=True)
    with Sidecar(path) as sidecar:
        for chunk, table in metadata(store, keys):
            ids, forms = table["id"].to_pylist(), table["format"].to_pylist()
            wanted = [file_name(name, form).replace("/", "_") for name, form in zip(ids, forms)]
            names = write_images(store, chunk, wanted, path / "images", taken, by_stem=True)
            sidecar.add([f"images/{name}" for name in names], about(table, columns))
            stems |= {sample: Path(name).stem for sample, name in zip(ids, names)}
    classes: tuple[str, ...] = ()
    for sample, png, one in maps_of(store, keys):
        (path / "masks" / f"{stems[sample]}.png").write_bytes(png)
        classes = max(classes, one.classes, key=len)
    (path / "classes.txt").write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    return Written(len(keys), tuple(as_text(store.schema(SAMPLES), columns)))
