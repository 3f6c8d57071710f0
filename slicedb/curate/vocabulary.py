"""Choose the embedding and the phrases that a discovery looks at."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pyarrow.compute as pc

from slicedb import schema
from slicedb.curate.judged import Samples
from slicedb.curate.phrases import Space, phrases_of, space_of, weighs
from slicedb.errors import CheckError, EmbeddingError, QueryError
from slicedb.show.numbers import count
from slicedb.store import Store
from slicedb.vectors import Meaning, Vectors

_NAMES = 200
"""Labels, and tags, that are taken for phrases; of more, none are."""


def looked_at(
    store: Store,
    vectors: Vectors,
    meaning: Meaning,
    embedding: str | None,
    vocabulary: Sequence[str] | str | os.PathLike[str] | None,
    samples: Samples,
) -> tuple[Space | None, list[str], list[str]]:
    """Return the embedding, the phrases to compare with it, and what is to be said of them.

    Args:
        store: the database.
        vectors: its embeddings.
        meaning: what queries score with.
        embedding: the name of one; None takes the usual one, if there is any.
        vocabulary: phrases, or a file with one per line; None takes the labels, the tags, and the
            phrases that the encoder contrasts a text with.
        samples: what is judged.

    Raises:
        UnknownEmbeddingError: there is none of that name.
        CheckError: phrases are given that nothing can be compared with.
    """
    space = space_of(store, vectors, meaning, embedding, samples.keys)
    given = None if vocabulary is None else phrases_of(vocabulary)
    if space is None:
        if given is not None:
            raise CheckError(
                "A vocabulary is compared with vectors of pictures, and there are none.",
                "`slicedb embed` makes them; embedding= (--embedding) names one of several.",
            )
        return None, [], ["No vectors were searched: `slicedb embed` makes some."]
    try:
        world = space.phrases()
    except (EmbeddingError, QueryError) as error:
        if given is not None:
            raise
        return space, [], [f"No phrases were searched: {error.message}"]
    phrases = given or list(dict.fromkeys([*world, *_names(store, samples)]))
    if weighs(space, phrases):
        return space, phrases, []
    said = f"{count(len(phrases), 'phrase')} for {count(len(space.matrix), 'vector')}"
    return space, phrases, [f"Phrases were searched by similarity, not by `matches`: {said}."]


def _names(store: Store, samples: Samples) -> list[str]:
    """Return the labels and tags, unless there are very many."""
    labels = list(samples.outcomes.classes)
    rows = store.take(schema.SAMPLES, samples.keys, ["tags"])
    tags = pc.unique(pc.list_flatten(rows["tags"])).to_pylist()
    few = [names for names in (labels, tags) if len(names) <= _NAMES]
    return [name for names in few for name in names if name and name.strip()]
