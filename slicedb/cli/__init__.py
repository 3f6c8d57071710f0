"""The command line: every verb of the library, by the same name."""

from __future__ import annotations

import os
import sys

import click

import slicedb
from slicedb.cli.common import keep, storage_option
from slicedb.errors import SliceDBError, did_you_mean

EPILOG = """
\b
Examples:
  slicedb demo                                   a tour on rendered pictures, one minute
  slicedb ingest photos/ && slicedb embed        read and embed your own folder
  slicedb "label = 'cat' AND matches('a cat asleep') LIMIT 20"
  slicedb test queries/ --model v4 --baseline v3
"""


class Verbs(click.Group):
    """The verbs in the order of the work; a text in place of a verb is a query."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        first = args[0]
        if first not in self.commands and not first.startswith("-"):
            if first.replace("-", "_").isidentifier() and first.lower() not in ("true", "false"):
                hint = did_you_mean(first, self.commands, "verbs")
                raise click.UsageError(f"No verb '{first}'. Hint: {hint}", ctx)
            return super().resolve_command(ctx, ["query", *args])
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; click's own handling of Ctrl-C does not say that it resumes."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            message = "Interrupted; what was written is kept, the same command resumes."
            click.echo(f"\n{message}", err=True)
            ctx.exit(130)


@click.group(
    cls=Verbs,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--db",
    metavar="PATH",
    envvar="SLICEDB_DB",
    help="Database directory or URI.",
    expose_value=False,
    callback=keep,
)
@storage_option
@click.version_option(slicedb.__version__, prog_name="slicedb")
def verbs() -> None:
    """Test-driven development for computer-vision datasets.

    A slice is a named query; a query gives an ordered set of sample ids; a test is a slice, a
    metric and a bound.
    """


def _register() -> None:
    from slicedb.cli import (
        ask,
        behave,
        cleaning,
        columns,
        copies,
        curate,
        data,
        discovering,
        drifting,
        editing,
        judge,
        labels,
        models,
        slices,
        splitting,
        surfaces,
        vectors,
        versions,
    )

    groups = (surfaces, data, vectors, editing, columns, ask, slices, models)
    curation = (curate, cleaning, copies, splitting, drifting, labels, discovering)
    for module in (*groups, judge, behave, *curation, versions):
        for command in module.COMMANDS:
            verbs.add_command(command)


_register()


def main(args: list[str] | None = None) -> object:
    """Run the command line; an error of ours is one line on stderr and exit status 1."""
    os.environ.setdefault("LANCE_LOG", "error")  # its warnings of retries are no lines of ours
    try:
        return verbs.main(args=args, prog_name="slicedb", standalone_mode=True)
    except SliceDBError as error:
        from slicedb.show.text import clean

        # Ids and labels that an error repeats may hold sequences that command a terminal.
        click.echo(clean(f"Error: {error}", keep="\n"), err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except (OSError, RuntimeError, ValueError) as error:
        from slicedb.cli.outage import in_words

        if said := in_words(error):
            click.echo(f"Error: {said}", err=True)
            sys.exit(1)
        if not isinstance(error, OSError):
            raise
        place = f"{error.strerror}: '{error.filename}'."
        click.echo(f"Error: {error if error.filename is None else place}", err=True)
        sys.exit(1)
