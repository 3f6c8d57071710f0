"""The verb `duplicates`: groups, the sample to keep and why, label conflicts, one commit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from fakes_looks import copies, encoded, fill, picture

import slicedb
from slicedb.cli import verbs
from slicedb.errors import CheckError, QueryError, UnknownEmbeddingError


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures; of `a` a small and a mirrored copy, of `b` the same bytes, of `c` a copy."""
    root = tmp_path_factory.mktemp("duplicates")
    files = {f"other{i}.png": encoded(picture(100 + i)) for i in range(7)}
    files |= {"a.png": encoded(picture(1)), "a_small.jpg": copies(picture(1))["small.jpg"]}
    files |= {"a_mirrored.png": copies(picture(1))["turn0.png"]}
    files |= dict.fromkeys(("b1.png", "b2.png", "b3.png"), encoded(picture(2)))
    files |= {"c1.png": encoded(picture(3)), "c2.jpg": encoded(picture(3), "JPEG", quality=95)}
    db = slicedb.open(root / "db")
    db.ingest(fill(root / "in", files), progress=False)
    db.relabel("id IN ('a_small.jpg', 'c1.png')", "cat")
    db.relabel("id = 'c2.jpg'", "dog")
    db.attach({"id": ["b2.png"], "split": ["test"]}, partial=True)
    return root / "db"


@pytest.fixture
def db(whole: Path, tmp_path: Path) -> slicedb.Database:
    return slicedb.open(shutil.copytree(whole, tmp_path / "db"))


def test_each_group_has_one_to_keep_and_a_reason(db: slicedb.Database) -> None:
    found = db.duplicates(progress=False)
    assert {(g.ids[0], g.reason, g.kind, len(g.ids)) for g in found.groups} == {
        ("a_small.jpg", "has a label", "hash", 3),
        ("b2.png", "in split test", "bytes", 3),
        ("c1.png", "most bytes: " + f"{len(encoded(picture(3))):,}", "hash", 2),
    }
    assert sorted(found.redundant) == ["a.png", "a_mirrored.png", "b1.png", "b3.png", "c2.jpg"]
    for group in found.groups:
        assert sorted(db.query(group.query).ids()) == sorted(group.ids)
    for finding in found.findings:
        assert db.query(finding.query).count() == finding.n, finding.name


def test_the_largest_and_the_preferred_are_kept(db: slicedb.Database) -> None:
    db.relabel("", None)
    assert {g.ids[0]: g.reason for g in db.duplicates().groups}.items() >= {
        ("b2.png", "in split test")
    }
    [a] = [g for g in db.duplicates().groups if "a.png" in g.ids]
    assert a.ids[-1] == "a_small.jpg"  # the smallest goes first
    [a] = [g for g in db.duplicates(prefer="id = 'a_small.jpg'").groups if "a.png" in g.ids]
    assert (a.ids[0], a.reason) == ("a_small.jpg", "preferred")


def test_labels_that_disagree_are_a_finding(db: slicedb.Database) -> None:
    found = db.duplicates()
    assert [(g.ids, g.labels) for g in found.conflicts] == [(("c1.png", "c2.jpg"), ("cat", "dog"))]
    [conflict] = [f for f in found.findings if f.name == "label conflict"]
    assert (conflict.n, conflict.query) == (2, "id IN ('c1.png', 'c2.jpg')")


def test_rows_say_how_each_sample_is_a_copy_of_the_one_to_keep(db: slicedb.Database) -> None:
    rows = db.duplicates(prefer="id = 'a.png'").to_arrow().to_pylist()
    by_id = {row["id"]: row for row in rows}
    assert by_id["a.png"]["keep"] and by_id["a.png"]["kind"] is None
    assert by_id["a_mirrored.png"]["orientation"] == 2  # left and right are swapped
    assert by_id["a_mirrored.png"]["bits"] <= 4
    assert (by_id["b1.png"]["kind"], by_id["b1.png"]["bits"]) == ("bytes", 0)
    assert {row["group"] for row in rows} == {0, 1, 2}


def test_deleting_leaves_groups_whose_labels_disagree_and_can_be_undone(
    db: slicedb.Database,
) -> None:
    before = sorted(db.query("").ids())
    found = db.duplicates(apply="delete")
    gone = {"a.png", "a_mirrored.png", "b1.png", "b3.png"}
    assert sorted(db.query("").ids()) == sorted(set(before) - gone)
    assert "1 group left alone" in str(found)
    [done] = [note for note in found.notes if "undoes it" in note]
    assert done.startswith("Delete 4 duplicates: commit ")
    assert [c.message for c in db.commits.history()] == [
        "Delete 4 duplicates",
        "Before duplicates were handled",
    ]
    db.commits.reset(done.split("`")[1].removeprefix("slicedb reset "))
    assert sorted(db.query("").ids()) == before
    db.duplicates(apply="delete", conflicts=True)
    assert not db.duplicates().groups
    assert "Nothing was changed." in str(db.duplicates(apply="delete"))


def test_tagging_makes_one_commit_and_a_query(db: slicedb.Database) -> None:
    db.commit("clean")
    db.duplicates(apply="tag", tag="copy")
    assert sorted(db.query("list_contains(tags, 'copy')").ids()) == [
        "a.png",
        "a_mirrored.png",
        "b1.png",
        "b3.png",
        "c2.jpg",
    ]
    assert "Nothing was changed." in str(db.duplicates(apply="tag", tag="copy"))
    assert [c.message for c in db.commits.history()] == ["Tag 5 duplicates with copy", "clean"]


def test_only_the_samples_asked_for_are_compared(db: slicedb.Database) -> None:
    found = db.duplicates("id LIKE 'b%' OR id = 'c1.png'", by="bytes")
    assert (found.n, [g.ids for g in found.groups]) == (4, [("b2.png", "b1.png", "b3.png")])
    [same] = [f for f in found.findings if f.name == "same bytes"]
    assert sorted(db.query(same.query).ids()) == ["b1.png", "b2.png", "b3.png"]
    assert db.duplicates("id = 'none'").groups == ()


def test_the_command_prints_rows_and_a_report(db: slicedb.Database, tmp_path: Path) -> None:
    run = CliRunner().invoke
    shown = run(verbs, ["duplicates", "--db", db.path])
    assert shown.exit_code == 0, shown.output
    assert "3 groups of duplicates in 15 samples (2 by hash, 1 by bytes); 5 samples could go" in (
        shown.output
    )
    listed = run(verbs, ["duplicates", "--db", db.path, "--format", "json"])
    assert len(json.loads(listed.output)) == 8
    file = tmp_path / "duplicates.csv"
    run(verbs, ["duplicates", "--db", db.path, "-o", str(file)])
    assert file.read_text().startswith("group,id,keep,kind,")
    wrong = run(verbs, ["duplicates", "--db", db.path, "--apply", "burn"])
    assert wrong.exit_code == 2 and "'burn' is not one of 'tag', 'delete'" in wrong.output


def test_what_cannot_be_asked_is_said_before_anything_is_compared(db: slicedb.Database) -> None:
    with pytest.raises(CheckError, match=r"No action 'burn'"):
        db.duplicates(apply="burn")  # type: ignore[arg-type]
    with pytest.raises(UnknownEmbeddingError, match=r"No embedding 'default'"):
        db.duplicates(by="vectors")
    with pytest.raises(QueryError, match=r"No column 'spilt'"):
        db.duplicates("spilt = 'train'")
    with pytest.raises(CheckError, match=r"-1 bits"):
        db.duplicates(bits=-1)


def test_a_notebook_shows_the_groups_with_their_pictures(db: slicedb.Database) -> None:
    shown = db.duplicates()._repr_html_()
    assert "3 groups of duplicates" in shown and "data:image/" in shown


def test_an_earlier_commit_is_asked_without_a_change(db: slicedb.Database) -> None:
    db.store.drop_columns("samples", ["turned_phash", "dct_hash"])
    db.commit("before", tag="before")
    version = db.store.version("samples")
    assert len(db.at("before").duplicates().groups) == 3
    assert db.store.version("samples") == version


def test_pairs_of_one_embedding_are_duplicates_by_vectors(db: slicedb.Database) -> None:
    ids = sorted(db.query("").ids())
    vectors = [[float(i == j) for j in range(len(ids))] for i in range(len(ids))]
    vectors[-1] = [*vectors[-2][:-1], 0.2]
    db.log_embeddings("own", pa.table({"id": ids, "vector": vectors}))
    found = db.duplicates(by="vectors", name="own", cosine=0.9)
    assert {g.kind for g in found.groups} == {"vectors", "bytes"}
    [near] = [g for g in found.groups if g.kind == "vectors"]
    assert set(near.ids) == set(ids[-2:])
