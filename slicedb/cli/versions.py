"""Commands about versions: commit, history, diff, branch, checkout, reset, merge, versions."""

from __future__ import annotations

import click

from slicedb.cli.common import db_option, open_db, rows_options, tables_of
from slicedb.cli.options import given, options_of
from slicedb.cli.output import Output
from slicedb.database import Database
from slicedb.show import numbers


@click.command()
@click.argument("message")
@db_option
@options_of(Database.commit, "tag")
def commit(message: str, tag: str | None) -> None:
    """Record the state of all tables.

    \b
    Example:
      slicedb commit "before relabelling" --tag release-3
    """
    click.echo(str(open_db().commit(message, tag=tag)))


@click.command()
@db_option
@rows_options
@click.option("--tests", is_flag=True, help="Show how each test fared over the runs instead.")
@click.option(
    "--slice", "slices", multiple=True, metavar="NAME", help="With --tests: only these slices."
)
@click.option("--model", metavar="MODEL", help="With --tests: only runs that tested it.")
@click.option(
    "--last",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="With --tests: number of runs to look back on.",
)
def history(
    out: Output, tests: bool, slices: tuple[str, ...], model: str | None, last: int
) -> None:
    """List the commits, the newest first; with --tests, how each test fared over the runs.

    A test whose verdict flips while its value stays within its interval is flaky by chance.

    \b
    Examples:
      slicedb history
      slicedb history --tests --slice night
    """
    if tests:
        out.show(open_db().runs.trends(list(slices) or None, model=model, last=last))
        return
    out.list(
        (
            {
                "commit": c.id,
                "created_at": c.created_at,
                "branch": c.branch,
                "tags": ", ".join(c.tags),
                "message": c.message,
            }
            for c in open_db().commits.history()
        ),
        'There are no commits yet. Hint: `slicedb commit "message"`.',
    )


@click.command()
@click.argument("before", required=False)
@click.argument("after", required=False)
@db_option
@rows_options
def diff(before: str | None, after: str | None, out: Output) -> None:
    """Show samples added, removed and relabelled between two commits, and slices that moved.

    Without arguments: the last commit against the present state. `slicedb slice diff NAME --from
    COMMIT` lists the samples of one slice, each with its reason.

    \b
    Examples:
      slicedb diff
      slicedb diff release-2 release-3
      slicedb diff -f csv
    """
    out.show(open_db().diff(before, after))


@click.command()
@click.argument("name", required=False)
@db_option
@click.option("--drop", "drop_it", is_flag=True, help="Remove the branch; its commits stay.")
def branch(name: str | None, drop_it: bool) -> None:
    """Start a branch at the last commit; without a name, list the branches.

    \b
    Examples:
      slicedb branch relabel-desserts
      slicedb branch relabel-desserts --drop
    """
    commits = open_db().commits
    if drop_it:
        if name is None:
            raise click.UsageError("--drop needs the name of a branch.")
        commits.drop_branch(name)
        click.echo(f"dropped branch {name}")
    elif name is None:
        for each in commits.branches():
            click.echo(f"{'*' if each == commits.branch_name else ' '} {each}")
    else:
        commits.branch(name)
        click.echo(f"on branch {name}")


@click.command()
@click.argument("name")
@db_option
@click.option("--force", is_flag=True, help="Discard changes that no commit records.")
def checkout(name: str, force: bool) -> None:
    """Bring all tables to a commit, tag or branch.

    \b
    Example:
      slicedb checkout release-3
    """
    click.echo(str(open_db().commits.checkout(name, force=force)))


@click.command()
@click.argument("name")
@db_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(name: str, yes: bool) -> None:
    """Bring all tables and the current branch to a commit, whatever has changed since.

    \b
    Example:
      slicedb reset release-3 --yes
    """
    database = open_db()
    database.commits.get(name)
    if not yes:
        click.confirm(f"Let go of everything after {name}?", abort=True, err=True)
    click.echo(str(database.commits.reset(name)))


@click.group()
def versions() -> None:
    """Manage what is kept: versions of tables, tags, and old versions to remove."""


@versions.command(name="list")
@db_option
@rows_options
def list_(out: Output) -> None:
    """List the tables with their versions, how many are kept, and their bytes.

    \b
    Example:
      slicedb versions list
    """
    out.list(tables_of(open_db()))


@versions.command()
@click.argument("commit")
@click.argument("name")
@db_option
def tag(commit: str, name: str) -> None:
    """Give a commit another name.

    \b
    Example:
      slicedb versions tag 3f9a2c release-3
    """
    click.echo(str(open_db().commits.tag(commit, name)))


@versions.command()
@click.argument("name")
@db_option
def untag(name: str) -> None:
    """Take a tag from its commit.

    \b
    Example:
      slicedb versions untag release-3
    """
    click.echo(str(open_db().commits.untag(name)))


@versions.command()
@click.argument("commits", nargs=-1, required=True, metavar="COMMIT...")
@db_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(commits: tuple[str, ...], yes: bool) -> None:
    """Delete commits and release the versions they keep; `versions cleanup` then removes those.

    \b
    Example:
      slicedb versions drop before-relabelling --yes
    """
    known = open_db().commits
    named = [known.get(name) for name in commits]
    if not yes:
        click.confirm(
            f"Forget {numbers.count(len(named), 'commit')} for good?", abort=True, err=True
        )
    for commit in named:
        click.echo(f"dropped {known.drop(commit.id)}")


@versions.command()
@db_option
@options_of(
    Database.cleanup,
    "days dry_run",
    days={"flag": "--older-than", "type": click.FloatRange(0), "metavar": "DAYS"},
)
def cleanup(days: float, dry_run: bool) -> None:
    """Remove old versions that no commit and no frozen slice keeps.

    \b
    Examples:
      slicedb versions cleanup --dry-run
      slicedb versions cleanup --older-than 30
    """
    freed = open_db().cleanup(days, dry_run=dry_run)
    word = "could be removed" if dry_run else "removed"
    click.echo(f"{numbers.size(freed)} of old versions {word}")


@click.command()
@click.argument("other", metavar="OTHER")
@db_option
@options_of(
    Database.merge,
    "on_conflict prefix rename message progress",
    prefix={"metavar": "TEXT"},
    rename={"metavar": "OLD=NEW"},
    message={"metavar": "TEXT"},
)
def merge(other: str, **options: object) -> None:
    """Merge another database: samples, labels, tags, predictions, vectors, models and slices.

    New samples are added with their pictures. Of one that is in both, values that only the other
    has are filled in and the tags of both are kept; one that differs is refused, unless
    --on-conflict says whose value holds or --prefix keeps all samples apart. Predictions and
    vectors are merged where the same model made them; --rename keeps two models, embeddings or
    slices of one name apart. What stays in the other, such as its commits, is counted.

    Nothing is written before everything is checked, and one commit is made at the end. A merge
    that was cut off goes on when it is run again.

    \b
    Examples:
      slicedb merge week2.slicedb
      slicedb merge colleague.slicedb --on-conflict theirs
      slicedb merge street.slicedb --prefix street --rename v3=v3_street
    """
    click.echo(str(open_db().merge(other, **given(options))))


COMMANDS = (commit, history, diff, branch, checkout, reset, merge, versions)
