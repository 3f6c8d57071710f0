"""Kinds of model specs: those of an installed package beside the built-in ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes_models import coloured_store
from test_plugins import install, site

from slicedb.errors import ModelError
from slicedb.models import MODEL_TYPES, Models, load
from slicedb.plugins import PluginWarning
from slicedb.predictions import predict

__all__ = ["site"]

CODE = """
from slicedb.models import Model, ModelType


class MeanColour(Model):
    input_size = 8
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def predict_batch(self, images):
        return images.mean((2, 3)) * 10


class Colours(ModelType):
    name, form = "colours", "colours:NAMES"

    def load(self, spec):
        model = MeanColour()
        model.classes = tuple(self.rest(spec.text).split("+"))
        return model


class Formless(ModelType):
    name = "formless"

    def load(self, spec):
        raise NotImplementedError


COLOURS, FORMLESS = Colours(), Formless()
"""


@pytest.fixture
def package(site: Path) -> Iterator[None]:
    install(site, "colourful", "slicedb.models", {"colours": "colourful:COLOURS"}, CODE)
    MODEL_TYPES.forget()
    yield
    MODEL_TYPES.forget()


def test_a_spec_of_an_installed_package_is_added_predicted_and_loaded_again(
    package: None, tmp_path: Path
) -> None:
    store = coloured_store(tmp_path)
    row = Models(store).add("mean", "colours:red+green+blue")
    assert (row.spec, row.classes) == ("colours:red+green+blue", ("red", "green", "blue"))
    model = Models(store).get("mean")  # as another process does
    assert predict(store, "mean", model).predicted == 9
    correct = store.table("predictions__mean", ["correct"])["correct"].to_pylist()
    assert correct == [True] * 9


def test_an_unknown_spec_names_the_forms_of_all_kinds(package: None) -> None:
    assert list(MODEL_TYPES) == ["torchvision", "timm", "factory", "program", "colours"]
    with pytest.raises(ModelError, match=r"timm:NAME, .* or colours:NAMES"):
        load("nowhere:resnet18")


def test_a_kind_without_a_form_is_left_out(site: Path) -> None:
    install(site, "formless", "slicedb.models", {"formless": "formless:FORMLESS"}, CODE)
    MODEL_TYPES.forget()
    try:
        with pytest.warns(PluginWarning, match="is not a slicedb.models.ModelType with a name"):
            assert MODEL_TYPES.installed == {}
    finally:
        MODEL_TYPES.forget()
