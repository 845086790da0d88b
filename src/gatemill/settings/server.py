"""Where the server listens. Rule: values only."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gatemill.settings.section import Count, Seconds, Section

PORT = 8700
_ORIGIN = re.compile(r"https?://[a-z0-9_.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?")


def _origin(value: str) -> str:
    origin = value.lower()
    if not _ORIGIN.fullmatch(origin):
        raise ValueError('write scheme and host, such as "https://app.example.com"')
    return origin


Origin = Annotated[str, AfterValidator(_origin)]
Level = Literal["debug", "info", "warning", "error"]
Room = Literal[
    "cli",
    "core",
    "dispatch",
    "edge",
    "experiments",
    "features",
    "gateway",
    "guards",
    "house",
    "jobs",
    "knowledge",
    "kv",
    "ledger",
    "library",
    "libraries",
    "local",
    "observe",
    "registry",
    "upstream",
]


class Server(Section):
    """Where Gatemill listens and how it behaves."""

    host: str = Field(
        "127.0.0.1", description="Address to listen on; others than loopback need an admin key."
    )
    port: int = Field(PORT, ge=0, le=65_535, description="Port to listen on; 0 takes any free one.")
    admin_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="Port of its own for administration, /metrics and /docs, which `port` then does not answer.",
    )
    admin_host: str = Field(
        "127.0.0.1", description="Address that `admin_port` listens on, where there is one."
    )
    data_dir: str = Field(
        "./data", min_length=1, description="Folder of the database and the development key."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Host names that requests may carry, besides loopback names; by default any on another address than loopback.",
    )
    allowed_origins: tuple[Origin, ...] = Field(
        (),
        description="Origins of web pages elsewhere that may open a WebSocket, such as `https://app.example.com`.",
    )
    request_timeout_s: Seconds = Field(
        600.0, description="Longest time for one request, retries and fallbacks included."
    )
    drain_timeout_s: float = Field(
        30.0, ge=0, le=86_400, description="Time that open requests get to finish at shutdown."
    )
    drain_delay_s: float = Field(
        0.0,
        ge=0,
        le=3_600,
        description="Time at shutdown in which requests are still answered while /readyz says 503, for balancers to notice; `drain_timeout_s` begins after it.",
    )
    direct_models: bool = Field(
        default=True,
        description="Whether `provider/model` reaches any model of a configured provider.",
    )
    predict_model: str = Field(
        "builtin/sentiment",
        min_length=1,
        max_length=200,
        description="Model that answers `POST /predict` where the body names none.",
    )
    unsupported_parameters: Literal["report", "refuse"] = Field(
        "report",
        description="What happens to harmless parameters that a target cannot carry: named in a header, or refused.",
    )
    discover: bool = Field(
        default=True,
        description="Whether providers are added whose key is in the environment, or that run on this machine.",
    )
    log: Literal["auto", "json", "pretty"] = Field(
        "auto", description="Form of the log; `auto` is pretty on a terminal."
    )
    log_level: Level = Field("info", description="Least important messages to log.")
    log_levels: dict[Room, Level] = Field(
        {},
        description='The same for single rooms of the code, such as `gateway = "debug"`; `libraries` are those of others.',
    )
    log_file: str = Field(
        "",
        description="File that the log is written to instead of standard output; empty is none.",
    )
    log_file_bytes_max: Count = Field(
        67_108_864, description="Size at which `log_file` is renamed to `….1` and begun anew."
    )
    log_files_max: int = Field(
        5, ge=0, le=1000, description="Renamed log files that are kept; 0 leaves that to others."
    )
    openapi: bool = Field(default=True, description="Whether /docs and /openapi.json are served.")
    workers: Count = Field(
        1, le=128, description="Processes that answer; more than one need shared counters."
    )
    watch: bool = Field(
        default=False,
        description="Whether the configuration is loaded again when its file changes.",
    )
