"""Verbs about versions: commit, history, diff, branch, checkout, reset."""

from __future__ import annotations

import click

from slicedb.cli.common import db_option, open_db, rows_options, say
from slicedb.cli.output import rows, write


@click.command()
@click.argument("message")
@db_option
@click.option("--tag", metavar="NAME", help="A name for it.")
def commit(message: str, db: str | None, tag: str | None) -> None:
    """Record the state of all tables.

    \b
    Example:
      slicedb commit "before relabelling" --tag release-3
    """
    click.echo(str(open_db(db).commit(message, tag=tag)))


@click.command()
@db_option
@rows_options
def history(db: str | None, form: str, output: str | None) -> None:
    """List the commits, the newest first.

    \b
    Example:
      slicedb history
    """
    found = open_db(db).commits.history()
    if not found:
        say('There are no commits yet. Hint: `slicedb commit "message"`.')
        return
    write(rows({"commit": c.id, "created_at": c.created_at, "branch": c.branch,
                "tags": ", ".join(c.tags), "message": c.message} for c in found),
          form, output)  # fmt: skip


@click.command()
@click.argument("before", required=False)
@click.argument("after", required=False)
@db_option
def diff(before: str | None, after: str | None, db: str | None) -> None:
    """Show samples added, removed and relabelled between two commits.

    Without arguments: the last commit against the present state.

    \b
    Examples:
      slicedb diff
      slicedb diff release-2 release-3
    """
    click.echo(str(open_db(db).commits.diff(before, after)))


@click.command()
@click.argument("name", required=False)
@db_option
def branch(name: str | None, db: str | None) -> None:
    """Start a branch at the last commit; without a name, list the branches.

    \b
    Example:
      slicedb branch relabel-desserts
    """
    commits = open_db(db).commits
    if name is None:
        for each in commits.branches():
            click.echo(f"{'*' if each == commits.branch_name else ' '} {each}")
    else:
        commits.branch(name)
        click.echo(f"on branch {name}")


@click.command()
@click.argument("name")
@db_option
@click.option("--force", is_flag=True, help="Let go of changes that no commit records.")
def checkout(name: str, db: str | None, force: bool) -> None:
    """Bring all tables to a commit, tag or branch.

    \b
    Example:
      slicedb checkout release-3
    """
    click.echo(str(open_db(db).commits.checkout(name, force=force)))


@click.command()
@click.argument("name")
@db_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(name: str, db: str | None, yes: bool) -> None:
    """Bring all tables and the current branch to a commit, whatever has changed since.

    \b
    Example:
      slicedb reset release-3 --yes
    """
    database = open_db(db)
    if not yes:
        click.confirm(f"Let go of everything after {name}?", abort=True, err=True)
    click.echo(str(database.commits.reset(name)))


COMMANDS = (commit, history, diff, branch, checkout, reset)
