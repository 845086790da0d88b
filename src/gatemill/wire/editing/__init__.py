"""Texts of a stream, changed on their way, in each format that callers speak.

Rule: whatever cuts a stream came in, each text that leaves is what `Edits` makes of the whole of it,
and every event is one of its format. What is held leaves before the event that ends its text.

Log probabilities and other tokens that repeat a text are left out where texts can change. Offsets of
annotations count in the text as the model wrote it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.wire.editing.channels import Channels
from gatemill.wire.editing.chat import Chunks
from gatemill.wire.editing.edits import Edit, Editor, Edits
from gatemill.wire.editing.messages import Blocks
from gatemill.wire.editing.responses import Items
from gatemill.wire.editing.stream import Editing

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.wire.editing.stream import Form

__all__ = ["Edit", "Editor", "Edits", "editor"]

# By operation: how it tells its texts, and whether it tells them again when they have ended.
_FORMS: dict[str, tuple[Callable[[Channels], Form], bool]] = {
    "chat": (Chunks, False),
    "completions": (Chunks, False),
    "messages": (Blocks, False),
    "responses": (Items, True),
}


def editor(operation: str, edits: Edits) -> Editor:
    """An editor for one stream of this operation; KeyError for one without streams."""
    form, repeats = _FORMS[operation]
    channels = Channels(edits, repeats=repeats)
    return Editing(form(channels), channels)
