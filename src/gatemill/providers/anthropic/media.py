"""Images and files of the hub as Anthropic's blocks. Rule: nothing is fetched."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from gatemill.core.errors import InvalidValue, UnsupportedParameter

if TYPE_CHECKING:
    from gatemill.core.ports import Json
    from gatemill.providers.anthropic.chat_request import FileData

_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=.+-]+)*;base64,", re.IGNORECASE)
_IMAGES = {f"image/{kind}": f"image/{kind}" for kind in ("jpeg", "png", "gif", "webp")}
_IMAGES["image/jpg"] = "image/jpeg"  # not a registered type, and common
_PDF_BASE64 = "JVBER"  # base64 of %PDF


def image(url: str, at: str) -> Json:
    """An image block for a data URI or an http(s) URL."""
    param = f"{at}.image_url.url"
    if url.startswith(("https://", "http://")):
        return {"type": "image", "source": {"type": "url", "url": url}}
    found = _DATA_URI.match(url)
    if found is None:
        raise InvalidValue(f"`{param}`: must be an http(s) URL or a base64 data URI.", param=param)
    media_type = _IMAGES.get(found.group(1).lower())
    if media_type is None:
        raise UnsupportedParameter(
            f"`{param}`: Anthropic's models take JPEG, PNG, GIF and WebP images.", param=param
        )
    data = url[found.end() :]
    return {
        "type": "image",
        "source": {"type": "base64", "media_type": media_type, "data": data},
    }


def document(file: FileData, at: str) -> Json:
    """A document block for a PDF or plain text in base64."""
    if not file.file_data:
        param = f"{at}.file.file_id" if file.file_id else f"{at}.file.file_data"
        raise UnsupportedParameter(
            f"`{param}`: files are not shared between providers. Send file_data.", param=param
        )
    block: Json = {"type": "document", "source": _source(file.file_data, f"{at}.file.file_data")}
    if file.filename:
        block["title"] = file.filename
    return block


def _source(file_data: str, param: str) -> Json:
    found = _DATA_URI.match(file_data)
    media_type = found.group(1).lower() if found else ""
    data = file_data[found.end() :] if found else file_data
    if not found and data.startswith(_PDF_BASE64):
        media_type = "application/pdf"
    if media_type == "application/pdf":
        return {"type": "base64", "media_type": media_type, "data": data}
    if media_type != "text/plain":
        raise UnsupportedParameter(
            f"`{param}`: Anthropic's models take PDF and plain text, as a base64 data URI.",
            param=param,
        )
    try:
        text = base64.b64decode(data, validate=True).decode()
    except ValueError:  # also of letters beyond ASCII
        raise InvalidValue(f"`{param}`: must be base64 of UTF-8 text.", param=param) from None
    return {"type": "text", "media_type": media_type, "data": text}
