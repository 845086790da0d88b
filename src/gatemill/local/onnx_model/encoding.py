"""Text -> token ids, by the tokenizer.json of a model.

Rule: nothing is cut unless the caller said so; counts are the model's own, special tokens included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatemill.core.errors import ContextLengthExceeded, InvalidValue, ModelLoadFailed
from gatemill.local.extras import needed
from gatemill.local.sources import settings

if TYPE_CHECKING:
    from pathlib import Path

    from gatemill.core.ports import Json

CHARS_PER_TOKEN_MAX = 100  # of real text; what is longer is cut, or refused, without being read
TOKENS_DEFAULT = 512


class Encoded(Struct, frozen=True):
    """One input of the graph."""

    ids: tuple[int, ...]
    types: tuple[int, ...]  # 0 for a first text, 1 for a second
    cut: bool  # it was longer than the model takes


class Encoder:
    """One model's tokenizer. Safe to use from several threads."""

    def __init__(self, tokenizer: Any, tokens_max: int) -> None:
        self._tokenizer = tokenizer
        self.tokens_max = tokens_max
        self._special = {pair: tokenizer.num_special_tokens_to_add(pair) for pair in (False, True)}

    def encode(self, text: str, param: str, *, truncate: bool) -> Encoded:
        """A text. Raises ContextLengthExceeded, which names `param`."""
        room = self.tokens_max - self._special[False]
        first, cut = self._raw(text, room, param, truncate=truncate)
        return _encoded(self._tokenizer.post_process(first), cut=cut)

    def pairs(self, query: str, texts: list[str], *, truncate: bool) -> list[Encoded]:
        """The query with each of the texts, which are cut to what it leaves; the query never is.

        Raises ContextLengthExceeded and InvalidValue.
        """
        room = self.tokens_max - self._special[True]
        asked, _ = self._raw(query, room, "query", truncate=False)
        left = room - len(asked.ids)
        if left < 1:
            raise InvalidValue(
                f"`query`: it leaves no room for a document, for this model reads {self.tokens_max}"
                " tokens at most. Shorten it.",
                param="query",
            )
        found = []
        for index, text in enumerate(texts):
            other, cut = self._raw(text, left, f"documents.{index}", truncate=truncate)
            found.append(_encoded(self._tokenizer.post_process(asked, other), cut=cut))
        return found

    def _raw(self, text: str, room: int, param: str, *, truncate: bool) -> tuple[Any, bool]:
        """Without special tokens, at most `room`, and whether it was cut."""
        chars_max = max(room, 1) * CHARS_PER_TOKEN_MAX
        if len(text) > chars_max and not truncate:
            raise self._too_long(param, f"a text of {len(text):,} characters")
        encoding = self._tokenizer.encode(text[:chars_max], add_special_tokens=False)
        count = len(encoding.ids)
        if count <= room:
            return encoding, len(text) > chars_max
        if not truncate:
            more = self.tokens_max - room
            raise self._too_long(param, f"{count + more:,} tokens")
        encoding.truncate(max(room, 0))
        return encoding, True

    def _too_long(self, param: str, what: str) -> ContextLengthExceeded:
        return ContextLengthExceeded(
            f"`{param}`: it has {what}, and this model reads {self.tokens_max:,} tokens at most."
            ' Send less, or "truncate": true to have its beginning read.',
            param=param,
        )


def encoder_of(folder: Path, config: Json, wanted: int | None) -> Encoder:
    """The tokenizer of a folder. Raises ModelLoadFailed, ExtraNotInstalled."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ModelLoadFailed(
            f"`{folder}` has no tokenizer.json. Save the model with a fast tokenizer."
        )
    library = needed("tokenizers", "local")
    try:
        tokenizer = library.Tokenizer.from_file(str(path))
    # The library raises plain Exception for whatever is wrong with the file.
    except Exception as error:
        raise ModelLoadFailed(f"`{path}` cannot be read as a tokenizer.") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Encoder(tokenizer, tokens_max(folder, config, wanted))


def tokens_max(folder: Path, config: Json, wanted: int | None) -> int:
    """The most tokens of one input: the smallest of what the model's files and its options say."""
    said = [
        wanted,
        config.get("max_position_embeddings"),
        settings(folder, "tokenizer_config.json").get("model_max_length"),
        settings(folder, "sentence_bert_config.json").get("max_seq_length"),
    ]
    # A tokenizer without a limit says 1e30.
    known = [int(n) for n in said if isinstance(n, (int, float)) and 2 < n < 1_000_000]
    return min(known, default=TOKENS_DEFAULT)


def _encoded(encoding: Any, *, cut: bool) -> Encoded:
    return Encoded(tuple(encoding.ids), tuple(encoding.type_ids), cut)
