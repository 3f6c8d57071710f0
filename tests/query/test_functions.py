"""Functions of the language as rows, and those that an installed package adds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from test_plugins import install, site  # noqa: F401
from world import engine_of

import slicedb
from slicedb.errors import BindError
from slicedb.plugins import PluginWarning
from slicedb.query import Engine, functions
from slicedb.query.functions.registry import FUNCTIONS
from slicedb.store import Store

CODE = """
from slicedb.query import Call, Function, Parameter


def _is_bright(call: Call) -> str:
    return f"{call.column('lux')} >= {call.number('at_least')}"


def _margin(call: Call):
    model = call.text("model")
    return f"{call.model_column(model, 'loss')} - coalesce(", call.sql("other"), ", 0)"


def _breaks(call: Call) -> str:
    raise RuntimeError("no luck")


FUNCTIONS = [
    Function(
        "is_bright",
        "is_bright([at_least])",
        "BOOLEAN",
        "Whether the picture is at least that bright.",
        "is_bright(0)",
        _is_bright,
        (Parameter("at_least", default=0.5),),
    ),
    Function(
        "margin",
        "margin('model', other)",
        "DOUBLE",
        "How much larger a model's loss is.",
        "margin('m1', 0) > 0",
        _margin,
        (Parameter("model"), Parameter("other")),
        is_score=True,
    ),
    Function(
        "is_wide",
        "is_wide(pixels)",
        "BOOLEAN",
        "",
        "is_wide(9)",
        lambda call: (call.column("width"), " >= ", call.sql("pixels")),
        (Parameter("pixels"),),
    ),
    Function("breaks", "breaks()", "BOOLEAN", "", "breaks()", _breaks),
]
"""


@pytest.fixture
def packages(site: Path) -> Iterator[Path]:  # noqa: F811
    FUNCTIONS.forget()
    yield site
    FUNCTIONS.forget()
    for name in ("bright", "wrong"):
        sys.modules.pop(name, None)


@pytest.fixture
def bright(packages: Path, store: Store) -> Engine:
    install(packages, "bright", "slicedb.functions", {"all": "bright:FUNCTIONS"}, CODE)
    return engine_of(store)


def test_a_function_of_a_package_is_one_of_the_language(bright: Engine) -> None:
    wanted = bright.query("lux >= 0.5").ids()
    assert wanted and bright.query("is_bright()").ids() == wanted
    assert bright.query("is_bright(0.5) AND NOT is_bright(1e9)").ids() == wanted
    assert bright.query("NOT is_bright() IS NULL").count() == bright.query("lux >= 0").count()
    assert [row["name"] for row in functions()][-4:] == ["is_bright", "margin", "is_wide", "breaks"]
    assert functions()[-4]["signature"] == "is_bright([at_least])"


def test_its_arguments_are_bound_and_its_column_has_its_text_as_a_name(bright: Engine) -> None:
    query = bright.query("SELECT id, margin('m1', m2.loss) FROM samples WHERE id IN ('a2', 'b3')")
    assert query.columns == ["id", "margin('m1', m2.loss)"]
    values = query.to_arrow()["margin('m1', m2.loss)"].to_pylist()
    assert values == [pytest.approx(0.4 - 1.5), pytest.approx(0.7)]
    shares = bright.query("SELECT avg(is_bright(-1)) AS share FROM samples WHERE lux IS NOT NULL")
    assert shares.to_arrow()["share"].to_pylist() == [1.0]


@pytest.mark.parametrize(
    ("text", "column", "token", "message"),
    [
        ("is_bright('x')", 11, "'x'", "is_bright needs a number written out here.*is_bright"),
        ("is_bright(1, 2)", 1, "is_bright", "is_bright is given 2 arguments"),
        ("is_bright(least => 2)", 20, "2", "is_bright has no option 'least'"),
        ("margin('m9', 1) > 0", 1, "margin", "No model 'm9'"),
        ("margin('m1', lable) > 0", 14, "lable", "No column 'lable'"),
        ("margin('m1', 1)", 1, "margin", "is a score, not a condition"),
        ("true AND breaks()", 10, "breaks", "The function 'breaks' failed: .*no luck"),
        ("is_brihgt()", 1, "is_brihgt", "No function 'is_brihgt'.*did you mean 'is_bright'"),
    ],
)
def test_errors_of_its_arguments_are_located(
    bright: Engine, text: str, column: int, token: str, message: str
) -> None:
    with pytest.raises(slicedb.errors.QueryError, match=message) as error:
        bright.query(text)
    assert (error.value.line, error.value.column) == (1, column)
    assert str(error.value.token).startswith(token)


def test_a_slice_may_use_it(bright: Engine, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "pictures" / "a.png")
    db = slicedb.open(tmp_path / "own.slicedb")
    db.ingest(tmp_path / "pictures")
    db.slices.add("small", "NOT is_wide(9)")
    assert db.query("in_slice('small')").ids() == ["a.png"]
    assert db.query("in_slice('small') AND is_wide(8)").count() == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("Function('lower', '', 'BOOLEAN', '', '', print)", "'lower' is a function of DuckDB"),
        ("Function('matches', '', 'BOOLEAN', '', '', print)", "The name 'matches' is taken"),
        ("Function('Bad-Name', '', 'BOOLEAN', '', '', print)", "'Bad-Name' is no name"),
        ("Function('lazy', '', 'BOOLEAN', '', '')", "'lazy' has no `bind`"),
        ("type('Odd', (), {'name': 'odd'})()", "'odd' is no slicedb.query.Function"),
    ],
)
def test_a_function_that_does_not_fit_is_left_out(packages: Path, code: str, message: str) -> None:
    text = f"from slicedb.query import Function\nONE = {code}\n"
    install(packages, "wrong", "slicedb.functions", {"one": "wrong:ONE"}, text)
    with pytest.warns(PluginWarning, match=message):
        names = [row["name"] for row in functions()]
    assert len(names) == len(set(names)) == 23


def test_duckdbs_names_need_no_look_at_the_packages(packages: Path, store: Store) -> None:
    code = "raise RuntimeError('boom')"
    install(packages, "wrong", "slicedb.functions", {"one": "wrong:ONE"}, code)
    engine = engine_of(store)
    assert engine.query("lower(label) = 'red' AND matches('red')").count() > 0
    with pytest.raises(BindError, match="No function"), pytest.warns(PluginWarning, match="boom"):
        engine.query("lowerr(label) = 'red'")
