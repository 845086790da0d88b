"""A multipart form with one file, read while it comes. Rule: the file's bytes are never gathered here."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gatemill.core.errors import (
    InvalidRequest,
    InvalidValue,
    RequestTooLarge,
    UnsupportedEncoding,
    UnsupportedParameter,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

# It warns of each form that it refuses; whoever is refused must not fill the log.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)

FILE = "file"
FIELD_BYTES_MAX = 1 << 10
_NAME_CHARS_MAX = 60  # of an unknown name that is repeated in the message


class Form:
    """The form of one request."""

    def __init__(self, content_type: str, content_encoding: str, known: Sequence[str]) -> None:
        """`known` are its fields besides the file. Raises UnsupportedEncoding and InvalidRequest."""
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise UnsupportedEncoding("Send the file as multipart/form-data, with a boundary.")
        if content_encoding.lower() not in ("", "identity"):
            raise UnsupportedEncoding("Send the form without Content-Encoding.")
        self.fields: dict[str, str] = {}
        self.filename: str | None = None  # None: no file has come yet
        self._known = (*known, FILE)
        self._pieces: list[bytes] = []
        self._name = ""  # of the part that comes
        self._value = bytearray()  # of its field
        self._header = bytearray()  # name of the header that comes
        self._header_value = bytearray()
        self._disposition = b""
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._take_header,
                    "on_header_value": self._take_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._name_part,
                    "on_part_data": self._take,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError:
            raise _broken() from None

    def feed(self, data: bytes) -> bytes:
        """The bytes of the file in this piece of the body. Raises InvalidRequest and its kinds."""
        try:
            self._parser.write(data)
        except FormParserError:
            raise _broken() from None
        found = b"".join(self._pieces)
        self._pieces.clear()
        return found

    def close(self) -> None:
        """The body has ended. Raises InvalidRequest when the form has not."""
        del self._parser  # it holds this form
        if not self._ended:
            raise InvalidRequest("The form was cut off. Send all of it.")

    # --- What the parser says -------------------------------------------------------------------------

    def _begin_part(self) -> None:
        self._name, self._disposition = "", b""
        self._value.clear()

    def _take_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _take_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header.clear()
        self._header_value.clear()

    def _name_part(self) -> None:
        _, options = parse_options_header(self._disposition.decode("latin-1"))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name not in self._known:
            shown = name[:_NAME_CHARS_MAX]
            raise UnsupportedParameter(
                f"`{shown}` is not known here. Use {', '.join(self._known)}.", param=shown
            )
        if name in self.fields or (name == FILE and self.filename is not None):
            raise InvalidValue(f"`{name}`: was sent twice. Send it once.", param=name)
        if name == FILE:
            self.filename = options.get(b"filename", b"").decode("utf-8", "replace")
        self._name = name

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._name == FILE:
            self._pieces.append(data[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > FIELD_BYTES_MAX:
            raise RequestTooLarge(
                f"`{self._name}`: has more than {FIELD_BYTES_MAX} bytes. Send less.",
                param=self._name,
            )

    def _end_part(self) -> None:
        if self._name != FILE:
            self.fields[self._name] = self._value.decode("utf-8", "replace")

    def _end(self) -> None:
        self._ended = True


def _broken() -> InvalidRequest:
    return InvalidRequest("The form is not valid multipart/form-data. Let a library write it.")
