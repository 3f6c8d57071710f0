"""The command `clean`: one picture after the other, decided at the terminal."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slicedb.cli.common import db_option, open_db, say
from slicedb.cli.options import given, options_of
from slicedb.database import Database
from slicedb.show.numbers import count, verb

if TYPE_CHECKING:
    from slicedb.analysis import Case, Cleaner

_HELP = (
    "k keep, r LABEL relabel (r alone: as predicted), d delete, s skip, u undo, q quit and commit"
)


@click.command()
@db_option
@options_of(Database.clean, "on model n session again", n="-n")
@click.option("--message", "-m", metavar="TEXT", help="Message of the commit.")
@click.option(
    "--draw",
    type=click.Choice(["auto", "blocks", "iterm", "kitty", "none"]),
    default="auto",
    show_default=True,
    help="How pictures are drawn in the terminal.",
)
@click.option("--apply", "then", flag_value="apply", help="Carry out what is decided, and commit.")
@click.option("--discard", "then", flag_value="discard", help="Forget what is decided.")
def clean(message: str | None, draw: str, then: str | None, **options: Any) -> None:
    """Look at one picture after the other, and keep, relabel or delete it.

    Decisions change nothing until `q` or the end of the list: then all of them are carried out in
    one commit. Ctrl-C and the end of the input keep them for the next call, which goes on there;
    --apply carries them out, --discard forgets them.

    \b
    Examples:
      slicedb clean --model food_v3
      slicedb clean --on "label = 'cat' ORDER BY food_v3.loss DESC" -n 50
      slicedb clean --apply -m "wrong labels"
    """
    cleaner = open_db().clean(**given(options))
    if then == "discard":
        click.echo(f"{count(cleaner.discard(), 'decision')} forgotten")
        return
    try:
        ended = then == "apply" or ask_each(cleaner, draw)
    except (KeyboardInterrupt, click.Abort):
        ended = False
    if ended:
        click.echo(str(cleaner.save(message)))
        return
    say(
        f"\n{count(len(cleaner.pending), 'decision is', 'decisions are')} kept and "
        f"{verb(len(cleaner.pending), 'changes', 'change')} nothing yet. The same command goes "
        "on here; --apply carries them out, --discard forgets them."
    )


def ask_each(cleaner: Cleaner, draw: str) -> bool:
    """Ask about every sample; False where the input ended before the list."""
    if cleaner.pending:
        say(
            f"{count(len(cleaner.pending), 'decision')} from before "
            f"{verb(len(cleaner.pending), 'is', 'are')} kept; u undoes the last one."
        )
    say(_HELP)
    with tempfile.TemporaryDirectory(prefix="slicedb-") as folder:
        for case in cleaner:
            _show(case, draw, Path(folder))
            answered = _decided(cleaner, case)
            if answered != "next":
                return answered == "quit"
    return True


def _decided(cleaner: Cleaner, case: Case) -> str:
    """Ask until something is decided: "next", "quit", or "end" of the input."""
    while True:
        click.echo("> ", nl=False, err=True)
        line = sys.stdin.readline()
        if not line:
            return "end"
        word, _, rest = line.strip().partition(" ")
        label = rest.strip() or case.prediction or ""
        if word == "k":
            case.keep()
        elif word == "d":
            case.delete()
        elif word == "r" and label:
            case.relabel(label)
        elif word == "q":
            return "quit"
        elif word == "u":
            undone = cleaner.undo()
            say(f"undone: {undone}" if undone else "nothing to undo")
            if undone is None:
                continue
        elif word != "s":
            say(_HELP if word in ("?", "") else f"'{line.strip()}' is no answer. {_HELP}")
            continue
        return "next"


def _show(case: Case, draw: str, folder: Path) -> None:
    """Print what is known of a sample, and its path or its picture."""
    from slicedb.show.terminal import drawn, way_of
    from slicedb.show.text import clean as plain

    facts = [f"label {case.label}"]
    if case.prediction is not None:
        facts.append(f"predicted {case.prediction}")
    facts += [
        f"{name} {value:.3f}"
        for name, value in (("confidence", case.confidence), ("loss", case.loss))
        if value is not None
    ]
    click.echo(plain(f"[{case.number}/{case.of}] {case.id}: {', '.join(facts)}"))
    is_file = bool(case.uri) and Path(case.uri).is_file()
    way: Any = draw if draw != "auto" else way_of() if sys.stdout.isatty() else "none"
    data = case.picture() if way != "none" or not is_file else None
    if way != "none" and data is not None:
        from slicedb.errors import MediaError
        from slicedb.media import decode

        try:
            click.echo(drawn(decode(data), way), nl=False)
        except MediaError as error:
            say(str(error))
    if is_file:
        click.echo(plain(case.uri))
    elif data is not None:
        path = folder / f"{case.number}{Path(case.id).suffix}"
        path.write_bytes(data)
        click.echo(str(path))
    else:
        click.echo(plain(case.uri or "(no picture)"))


COMMANDS = (clean,)
