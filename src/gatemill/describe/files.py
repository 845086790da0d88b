"""What the document says of files and batches. Rule: a row for each route, in the order of the page."""

from __future__ import annotations

from gatemill.describe import headers
from gatemill.describe.control import Control, path_parameter, query
from gatemill.describe.words import string, whole, word

_OWN = " One of somebody else is one that is not there."
_TAG = "Files and batches"
_BODY = (400, 408, 413, 415)
_PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
_FILE = path_parameter("file_id", "The file's id.", "file-019aa1b2c3d4e5f60718293a4b5c6d7e")
_BATCH = path_parameter("batch_id", "The batch's id.", "batch_019aa1b2c3d4e5f60718293a4b5c6d7e")
_AFTER = query("after", string("The id of the last entry that you have."))
_IDEMPOTENCY = headers.parameter(
    "idempotency-key",
    string("Sent again with the same body, it is the same batch; with another body it is refused."),
)

ROUTES = {
    "files_create": Control(
        "Upload a file",
        "Kept until `expires_at`. Lines of a batch are looked at when the batch is made.",
        _TAG,
        "File",
        "FileUpload",
        "POST",
        errors=(*_BODY, 429),
        media_type="multipart/form-data",
    ),
    "files": Control(
        "List files",
        "The newest first." + _OWN,
        _TAG,
        "FileList",
        asked=(
            query("purpose", word("Only these.", *_PURPOSES, "batch_output")),
            query("limit", whole("Most entries; 10,000 by default.", least=1, most=10_000)),
            _AFTER,
            query("order", word("By the time they were made; desc by default.", "asc", "desc")),
        ),
        errors=(400,),
    ),
    "file": Control(
        "Show a file",
        "One file." + _OWN,
        _TAG,
        "File",
        of=_FILE,
    ),
    "file_content": Control(
        "Download a file",
        "Its bytes." + _OWN,
        _TAG,
        "",
        of=_FILE,
        sent_back=("content-disposition", "x-content-type-options"),
        binary=True,
    ),
    "files_delete": Control(
        "Delete a file",
        "Refused while a batch reads it." + _OWN,
        _TAG,
        "DeletedFile",
        method="DELETE",
        of=_FILE,
        errors=(409,),
    ),
    "batches_create": Control(
        "Make a batch",
        "Each line of the file is a request of its own to `endpoint`, with any model that your key may"
        " call. Lines that cannot be read are told in `errors`, or in the error file.",
        _TAG,
        "Batch",
        "BatchNew",
        "POST",
        asked=(_IDEMPOTENCY,),
        errors=(*_BODY, 404, 422, 429),
    ),
    "batches": Control(
        "List batches",
        "The newest first." + _OWN,
        _TAG,
        "BatchList",
        asked=(query("limit", whole("Most entries; 20 by default.", least=1, most=100)), _AFTER),
        errors=(400,),
    ),
    "batch": Control(
        "Show a batch",
        "How far it is, and what it cost." + _OWN,
        _TAG,
        "Batch",
        of=_BATCH,
    ),
    "batches_cancel": Control(
        "Cancel a batch",
        "What is answered already stays in its output file." + _OWN,
        _TAG,
        "Batch",
        method="POST",
        of=_BATCH,
        errors=(409,),
    ),
}
