"""What the document says of vector stores. Rule: a row for each route, in the order of the page."""

from __future__ import annotations

from gatemill.describe.control import Control, path_parameter, query
from gatemill.describe.words import string, whole, word

_TAG = "Knowledge"
_OWN = " One of somebody else is one that is not there."
_BODY = (400, 408, 413, 415)
_ID = "019aa1b2c3d4e5f60718293a4b5c6d7e"
_STORE = path_parameter("store_id", "The store's id.", f"vs_{_ID}")
_FILE = path_parameter("file_id", "The file's id, or what you called the text.", f"file-{_ID}")
_BATCH = path_parameter("batch_id", "The batch's id.", f"vsfb_{_ID}")
_PAGE = (
    query("limit", whole("Most entries; 20 by default.", least=1, most=100)),
    query("after", string("The id of the last entry that you have.")),
    query("before", string("The id of the first entry that you have.")),
    query("order", word("By the time they were made; desc by default.", "asc", "desc")),
)
_FILES = (
    *_PAGE,
    query("filter", word("Only these.", "in_progress", "completed", "failed", "cancelled")),
)

ROUTES = {
    "vector_stores_create": Control(
        "Make a vector store",
        "A place for documents that can be searched. With an embedding model it is searched by words"
        " and by vectors, without one by words alone. Files named here are read in by a job.",
        _TAG,
        "VectorStore",
        "VectorStoreNew",
        "POST",
        errors=(*_BODY, 404, 429, 501),
    ),
    "vector_stores": Control(
        "List vector stores",
        "The newest first." + _OWN,
        _TAG,
        "VectorStoreList",
        asked=_PAGE,
        errors=(400,),
    ),
    "vector_store": Control(
        "Show a vector store", "With what it holds." + _OWN, _TAG, "VectorStore", of=_STORE
    ),
    "vector_stores_update": Control(
        "Change a vector store",
        "What is left out stays. For another embedding model, run the job `documents.reembed`.",
        _TAG,
        "VectorStore",
        "VectorStoreChange",
        "POST",
        of=_STORE,
        errors=_BODY,
    ),
    "vector_stores_delete": Control(
        "Delete a vector store",
        "It is gone at once, with its documents; files stay." + _OWN,
        _TAG,
        "DeletedVectorStore",
        method="DELETE",
        of=_STORE,
    ),
    "vector_store_documents_create": Control(
        "Add texts",
        "Documents without files. Few are there when the answer comes; more are read in by a job, and"
        " the answer is 202 with its id. A text with an id that is there replaces it.",
        _TAG,
        "VectorStoreDocuments",
        "VectorStoreDocumentsNew",
        "POST",
        of=_STORE,
        errors=(*_BODY, 409, 429, 502, 504),
    ),
    "vector_store_files_create": Control(
        "Add a file",
        "Text, Markdown, HTML or PDF. A small one is read in at once, others by a job: look at"
        " `status`. A file that cannot be read fails, and `last_error` says why.",
        _TAG,
        "VectorStoreFile",
        "VectorStoreFileNew",
        "POST",
        of=_STORE,
        errors=(*_BODY, 409, 501),
    ),
    "vector_store_files": Control(
        "List files of a store",
        "The newest first; texts without a file are among them." + _OWN,
        _TAG,
        "VectorStoreFileList",
        of=_STORE,
        asked=_FILES,
        errors=(400,),
    ),
    "vector_store_file": Control(
        "Show a file of a store",
        "How far it is, or why it failed." + _OWN,
        _TAG,
        "VectorStoreFile",
        of=_FILE,
        asked=(_STORE,),
    ),
    "vector_store_file_content": Control(
        "Show the text of a file",
        "As it was read, white space aside." + _OWN,
        _TAG,
        "VectorStoreFileContent",
        of=_FILE,
        asked=(_STORE,),
    ),
    "vector_store_files_update": Control(
        "Change attributes of a file",
        "All of them are replaced.",
        _TAG,
        "VectorStoreFile",
        "VectorStoreFileChange",
        "POST",
        of=_FILE,
        asked=(_STORE,),
        errors=_BODY,
    ),
    "vector_store_files_delete": Control(
        "Take a file out of a store",
        "The file itself stays." + _OWN,
        _TAG,
        "DeletedVectorStoreFile",
        method="DELETE",
        of=_FILE,
        asked=(_STORE,),
    ),
    "vector_store_batches_create": Control(
        "Add many files",
        "One job reads them in; each ends for itself.",
        _TAG,
        "VectorStoreBatch",
        "VectorStoreBatchNew",
        "POST",
        of=_STORE,
        errors=(*_BODY, 409, 501),
    ),
    "vector_store_batch": Control(
        "Show files added together",
        "How many are read in." + _OWN,
        _TAG,
        "VectorStoreBatch",
        of=_BATCH,
        asked=(_STORE,),
    ),
    "vector_store_batches_cancel": Control(
        "Stop adding files",
        "Files that are complete stay." + _OWN,
        _TAG,
        "VectorStoreBatch",
        method="POST",
        of=_BATCH,
        asked=(_STORE,),
    ),
    "vector_store_batch_files": Control(
        "List files added together",
        "The newest first." + _OWN,
        _TAG,
        "VectorStoreFileList",
        of=_BATCH,
        asked=(_STORE, *_FILES),
        errors=(400,),
    ),
}
