"""The verbs that show what a model makes of pictures: try, and maps of what it looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast, overload

from slicedb.database.predicting import Predicting
from slicedb.errors import CheckError, suggesting

if TYPE_CHECKING:
    from slicedb.analysis.tryout import Tryout
    from slicedb.analysis.tryouts import Tryouts
    from slicedb.cam import CamReport
    from slicedb.database.given import Device
    from slicedb.models.model import Picture
    from slicedb.progress import Watch
    from slicedb.selection import On


@suggesting
class Explaining(Predicting):
    """Show what a model makes of pictures."""

    @overload
    def try_out(
        self,
        model: str,
        image: Picture,
        *,
        neighbours: int | None = None,
        embedding: str = "default",
        cam: str | None = None,
        target: str = "prediction",
        method: str = "gradcam",
        layer: str | None = None,
        save: str | None = None,
        progress: Watch = None,
    ) -> Tryout: ...

    @overload
    def try_out(
        self,
        model: str,
        image: Iterable[Picture],
        *,
        cam: str | None = None,
        target: str = "prediction",
        method: str = "gradcam",
        layer: str | None = None,
        progress: Watch = None,
    ) -> Tryouts: ...

    def try_out(
        self,
        model: str,
        image: Picture | Iterable[Picture],
        *,
        neighbours: int | None = None,
        embedding: str = "default",
        cam: str | None = None,
        target: str = "prediction",
        method: str = "gradcam",
        layer: str | None = None,
        save: str | None = None,
        progress: Watch = None,
    ) -> Tryout | Tryouts:
        """Try a model on one picture: what it says, with a map or boxes, and the nearest samples.

        Several pictures are predicted in batches, with one row and one map each. Nothing is stored.

        Args:
            model: a registered model.
            image: a path, encoded bytes, a Pillow image, uint8 (h, w, 3), or several of them.
            neighbours: nearest samples to show, 0 for none; by default 5 where there is an
                embedding.
            embedding: the embedding that says what is near.
            cam: save what the model looked at (Grad-CAM) as this picture, of several pictures in
                this folder; "" only returns it.
            target: the class that the map explains; by default the predicted one.
            method: one of `slicedb.cam.METHODS`: gradcam, eigencam, layercam, ...
            layer: the layer to explain, instead of the one that is found automatically.
            save: save the picture as this file, with the boxes of a detector drawn on it, or the
                classes of a segmenter.
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            UnknownModelError: no model of that name.
            ModelError: a map is asked for and the model is no classifier, or has no layer to
                explain; or boxes are, and it is one.
            MediaError: the picture does not decode.
            CheckError: `target` is no class, there is no such embedding, the map cannot be
                saved, or nearest samples or a picture to save are asked for several pictures.
        """
        from slicedb.analysis.tryout import try_out
        from slicedb.analysis.tryouts import try_several
        from slicedb.models.trying import is_one

        known = self.models.get(model)
        if not is_one(image):
            several = cast("Iterable[Picture]", image)
            if neighbours or save is not None:
                asked = "--neighbours (neighbours=)" if neighbours else "--save (save=)"
                raise CheckError(f"{asked} is for one picture.", "name one of them at a time.")
            return try_several(
                known,
                several,
                cam=cam,
                target=target,
                method=method,
                layer=layer,
                progress=progress,
            )
        return try_out(
            self.store,
            known,
            image,
            self.sql,
            neighbours=neighbours,
            embedding=embedding,
            cam=cam,
            target=target,
            method=method,
            layer=layer,
            save=save,
        )

    def cam(
        self,
        model: str,
        on: On | Iterable[On] = None,
        *,
        target: str = "prediction",
        method: str = "gradcam",
        layer: str | None = None,
        batch_size: int = 32,
        device: Device = None,
        threads: int | None = None,
        progress: Watch = None,
        workers: int | None = None,
        engine: str | None = None,
        decode: Literal["cpu", "gpu", "auto"] = "cpu",
    ) -> CamReport:
        """Store what a model looked at in `cams__<model>`; only missing maps are computed.

        Args:
            model: the registered name.
            on: the samples.
            target: explain the prediction, the label, or the class of this name.
            method: one of `slicedb.cam.METHODS`: gradcam, eigencam, layercam, ...
            layer: the layer to explain, instead of the one that is found automatically.
            batch_size: images per batch.
            device: where to run: cpu, cuda, cuda:1 or mps; by default a GPU if there is one.
                Several devices, separated by commas (cuda:0,cuda:1), share the work, with one
                process each.
            threads: decoding threads; by default one per core.
            progress: draw a progress bar on stderr; by default only in a terminal.
            workers: processes that share the work, each with a copy of the model: of this machine,
                or actors of Ray. By default this process alone, or one for each device given.
            engine: where the processes run: ray starts Ray on this machine, or uses the cluster of
                RAY_ADDRESS; ray@HOST:PORT and ray://HOST:PORT name a running cluster. All of its
                machines need the same files and packages.
            decode: which chip decodes JPEGs: cpu, whose pixels are the same everywhere; gpu
                (nvJPEG), whose pixels differ by a few levels, and so do predictions and vectors;
                auto, the faster one for the first pictures. What decoded is reported.

        Raises:
            ModelError: the model is no classifier, or has no layer to explain.
            CheckError: `target` is no class of the model.
        """
        from slicedb.cam import cam
        from slicedb.cam.overlays import gallery
        from slicedb.models.elsewhere import code_of

        crew, device = self._crew(engine, workers, device, threads, progress, decode)
        keys = self._selection.union(on)
        report = cam(
            self.store,
            model,
            self.models.get(model),
            keys,
            target=target,
            method=method,
            layer=layer,
            batch_size=batch_size,
            device=device,
            threads=threads,
            progress=progress,
            crew=crew,
            code=None if crew is None else code_of(self.models.show(model)),
            decode=decode,
        )
        self.store.sync()
        return replace(report, pictures=lambda: gallery(self.store, model, keys))
