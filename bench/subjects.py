"""What is measured: how each gateway is started, reached and what it has switched on.

Rule: each one is set up as its own makers advise for production; a subject is one function here.
"""

from __future__ import annotations

import importlib.metadata
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from bench import payloads
from bench.failures import BenchStopped

if TYPE_CHECKING:
    from collections.abc import Mapping

# Whoever sets this variable would have all modules compiled anew at each start.
_PYTHON = ("env", "-u", "PYTHONDONTWRITEBYTECODE")
_PATH = "/v1/chat/completions"
_LITELLM_KEY = "sk-bench-master"

_NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  client_body_buffer_size 64k;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream provider {{
    server {upstream};
    keepalive 256;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_buffer_size 32k;
    proxy_buffers 4 32k;
    proxy_busy_buffers_size 64k;
    location /v1/ {{ proxy_pass http://provider; }}
    location /stream/ {{ proxy_pass http://provider/; proxy_buffering off; }}
  }}
}}
"""

_LITELLM = """
model_list:
  - model_name: {model}
    litellm_params:
      model: openai/{model}
      api_base: http://{upstream}/v1
      api_key: sk-upstream
general_settings:
  master_key: {key}
litellm_settings:
  set_verbose: false
  request_timeout: 600
"""

_GATEMILL = """
[server]
discover = false
log = "json"

[providers.bench]
kind = "openai"
base_url = "http://{upstream}/v1"
api_key = "sk-upstream"

[models.{model}]
targets = ["bench/{model}"]

[prices.{model}]
input = 0.15
output = 0.60
"""

# What a careful team would have on, for both directions.
_GUARDS = """
[guards]
input = [
  {{ guard = "pii", mode = "mask" }},
  {{ guard = "secrets", mode = "block" }},
  {{ guard = "injection", mode = "block" }},
]
output = [{{ guard = "pii", mode = "mask" }}, {{ guard = "secrets", mode = "block" }}]
"""


class Place(Struct, frozen=True):
    """Where one start of a subject happens."""

    folder: Path  # empty
    port: int
    upstream: str  # host:port


class Options(Struct, frozen=True):
    """What the command line says about the subjects."""

    litellm: str | None = None  # path; None: the one on PATH
    before: Path | None = None  # another checkout of Gatemill
    extra: str | None = None  # NAME=COMMAND with {port} and {upstream}
    profile_path: Path | None = None  # where cProfile writes what it saw of Gatemill


class Subject(Struct, frozen=True):
    """A gateway, ready to be started in its place."""

    name: str
    command: tuple[str, ...]
    url: str
    stream_url: str
    setup: str  # one line for the reader: what is on
    key_path: Path | None = None  # a file that appears while it starts
    key: str = "sk-bench"

    def headers(self) -> Mapping[str, str] | None:
        """What a caller sends along; None while the key is not written yet."""
        key = self.key
        if self.key_path is not None:
            key = self.key_path.read_text().strip() if self.key_path.exists() else ""
        return {"authorization": f"Bearer {key}"} if key else None


def build(name: str, place: Place, options: Options) -> Subject:
    """The subject `name`; its configuration is written into the folder."""
    if name == "nginx":
        return _nginx(place)
    if name == "litellm":
        return _litellm(place, options)
    if name == "gatemill":
        return _gatemill(name, place, source=None, profile_path=options.profile_path)
    if name == "guards":
        return _gatemill(name, place, source=None, profile_path=None, more=_GUARDS)
    if name == "before" and options.before is not None:
        return _gatemill(name, place, source=options.before / "src", profile_path=None)
    if options.extra is not None and options.extra.startswith(f"{name}="):
        return _extra(name, place, options.extra.split("=", 1)[1])
    message = f"no subject {name!r}: nginx, gatemill, guards, litellm, before (--before), or one of --extra"
    raise BenchStopped(message, code=2)


def available(options: Options) -> list[str]:
    """Names of all subjects that can be started here, the limit first; `guards` only where it is named."""
    names = ["nginx", "gatemill"]
    if options.before is not None:
        names.append("before")
    if options.extra is not None:
        names.append(options.extra.split("=", 1)[0])
    if litellm_path(options) is not None:
        names.append("litellm")
    return names


def litellm_path(options: Options) -> str | None:
    """The command to start LiteLLM, None where it is not installed."""
    return shutil.which(options.litellm or "litellm")


def version(name: str, options: Options) -> str:
    """What the subject says of itself; "" when it does not say."""
    if name == "nginx":
        command = ["nginx", "-v"]
    elif name == "litellm":
        # Its own --version imports all of it, which takes ten seconds; its neighbour knows as well.
        python = Path(litellm_path(options) or "").absolute().with_name("python")
        say = "import importlib.metadata as m; print(m.version('litellm'))"
        command = [str(python), "-c", say] if python.exists() else []
    elif name in ("gatemill", "guards"):
        return importlib.metadata.version("gatemill")
    else:
        command = []
    if not command:
        return ""
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)+\S*", said.stdout + said.stderr)
    return found[0] if found else ""


def _nginx(place: Place) -> Subject:
    place.folder.chmod(0o755)  # its worker gives up root and still has to reach its folders
    config_path = place.folder / "nginx.conf"
    config_path.write_text(
        _NGINX.format(folder=place.folder, port=place.port, upstream=place.upstream)
    )
    address = f"http://127.0.0.1:{place.port}"
    return Subject(
        name="nginx",
        command=("nginx", "-e", "stderr", "-p", str(place.folder), "-c", str(config_path)),
        url=f"{address}{_PATH}",
        stream_url=f"{address}/stream{_PATH}",
        setup="1 worker, upstream keep-alive, no access log, proxy_buffering off for streams",
    )


def _litellm(place: Place, options: Options) -> Subject:
    config_path = place.folder / "litellm.yaml"
    config_path.write_text(
        _LITELLM.format(model=payloads.MODEL, upstream=place.upstream, key=_LITELLM_KEY)
    )
    variables = (
        "LITELLM_LOG=ERROR",
        "LITELLM_MODE=PRODUCTION",
        "LITELLM_LOCAL_MODEL_COST_MAP=True",  # or it asks the internet while it starts
        "NO_PROXY=127.0.0.1",
        "no_proxy=127.0.0.1",
    )
    serve = ("--config", str(config_path), "--host", "127.0.0.1", "--port", str(place.port))
    url = f"http://127.0.0.1:{place.port}{_PATH}"
    return Subject(
        name="litellm",
        command=(*_PYTHON, *variables, litellm_path(options) or "", *serve, "--num_workers", "1"),
        url=url,
        stream_url=url,
        setup="1 worker, master key, no database, log level ERROR, production mode",
        key=_LITELLM_KEY,
    )


def _gatemill(
    name: str, place: Place, source: Path | None, profile_path: Path | None, more: str = ""
) -> Subject:
    config_path = place.folder / "bench-config.toml"
    config = _GATEMILL + more
    config_path.write_text(config.format(model=payloads.MODEL, upstream=place.upstream))
    data = place.folder / "data"
    prefix = (*_PYTHON, f"PYTHONPATH={source}") if source is not None else _PYTHON
    python: tuple[str, ...] = (sys.executable,)
    if profile_path is not None:
        python = (sys.executable, "-m", "cProfile", "-o", str(profile_path))
    serve = ("--config", str(config_path), "--port", str(place.port), "--data-dir", str(data))
    url = f"http://127.0.0.1:{place.port}{_PATH}"
    return Subject(
        name=name,
        command=(*prefix, *python, "-m", "gatemill", "serve", *serve),
        url=url,
        stream_url=url,
        setup="key, price, ledger (SQLite file), metrics, one JSON log line per request to a file"
        + ("; pii, secrets and injection on the way in, pii and secrets out" if more else ""),
        key_path=data / "dev.key",
    )


def _extra(name: str, place: Place, template: str) -> Subject:
    url = f"http://127.0.0.1:{place.port}{_PATH}"
    filled = template.replace("{port}", str(place.port)).replace("{upstream}", place.upstream)
    return Subject(
        name=name, command=tuple(shlex.split(filled)), url=url, stream_url=url, setup=template
    )
