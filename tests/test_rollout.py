"""After a roll-out: a class whose share jumps is an alarm, and chance is none."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import slicedb
from slicedb import schema
from slicedb.cli import verbs
from slicedb.errors import CheckError, UnknownModelError

DAYS, A_DAY = 12, 200


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> slicedb.Database:
    """Twelve days of 200 samples; on the last one `new` sees three times as many alerts."""
    made = slicedb.open(tmp_path_factory.mktemp("rollout") / "r.slicedb")
    n = DAYS * A_DAY
    ids = [f"s{i:05}" for i in range(n)]
    rows = {"id": ids, "key": schema.keys_of(ids), "label": ["ok"] * n, "status": ["ok"] * n}
    made.store.append(schema.SAMPLES, pa.table(rows))
    rng = np.random.default_rng(0)
    day = np.arange(n) // A_DAY
    at = (day * 86_400 + rng.integers(0, 86_400, n)) * 1_000_000
    made.attach({"id": ids, "seen_at": pa.array(at, pa.timestamp("us")), "number": np.arange(n)})
    old = rng.random(n) < 0.1
    new = np.where(day == DAYS - 1, old | (rng.random(n) < 0.22), old)
    for name, alert in (("old", old), ("new", new)):
        said = ["alert" if a else "ok" for a in alert]
        made.log_predictions(name, {"id": ids, "prediction": said}, classes=["ok", "alert"])
    return made


def test_a_share_that_jumps_is_an_alarm_beside_the_past(db: slicedb.Database) -> None:
    report = db.rollout("new", time="seen_at")
    alarm = report.alarms[0]
    assert len(report.alarms) <= 2  # one false among true ones is what 5 % allows
    assert (alarm.period, alarm.value, alarm.n) == ("1970-01-12", "alert", A_DAY)
    assert alarm.ratio > 2 and db.query(alarm.query).count() == round(alarm.share * A_DAY)
    assert not any(row.is_alarm for row in db.rollout("old", time="seen_at").rows)
    assert "among 22 comparisons" in str(report)
    assert {row.period for row in report.rows if row.value == "ok"} == {
        f"1970-01-{d:02}" for d in range(2, 13)
    }


def test_another_model_is_compared_on_the_same_samples(db: slicedb.Database) -> None:
    report = db.rollout("new", "old", time="seen_at")
    assert [(a.period, a.value) for a in report.alarms] == [("1970-01-12", "alert")]
    quiet = [row for row in report.rows if row.period != "1970-01-12"]
    assert {row.p for row in quiet} == {1.0} and {row.ratio for row in quiet} == {1.0}


def test_periods_may_be_weeks_from_monday(db: slicedb.Database) -> None:
    periods = {row.period for row in db.rollout("new", "old", time="seen_at", every="week").rows}
    assert periods == {"1969-12-29", "1970-01-05", "1970-01-12"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"time": "sen_at"}, "did you mean 'seen_at'"),
        ({"time": "captured_at"}, "No sample has a 'captured_at'"),
        ({"time": "number"}, "holds numbers, not times"),
    ],
)
def test_wrong_input_is_told(db: slicedb.Database, options: dict[str, str], says: str) -> None:
    with pytest.raises(CheckError, match=says):
        db.rollout("new", **options)  # type: ignore[arg-type]
    with pytest.raises(UnknownModelError):
        db.rollout("new", "older")
    with pytest.raises(CheckError, match="of one day: 'new' has no past"):
        db.rollout("new", on="seen_at < TIMESTAMP '1970-01-02'", time="seen_at")


def test_the_command_line_says_the_same(db: slicedb.Database) -> None:
    args = ["--db", db.path, "rollout", "new", "old", "--time", "seen_at"]
    said = CliRunner().invoke(verbs, args, catch_exceptions=False).stdout
    assert "new beside old: 1 alarm among 24 comparisons." in said
