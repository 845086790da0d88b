"""Configuration. Rule: only `house` and `cli` import this room, and only `cli` reads os.environ."""

from gatemill.settings.errors import ConfigError, ConfigErrors, path_text
from gatemill.settings.leaves import leaves
from gatemill.settings.load import DEFAULT_FILE, Loaded, load
from gatemill.settings.model import (
    Keys,
    Limits,
    Model,
    Provider,
    Rates,
    Settings,
    Stores,
    Target,
    Timeout,
)
from gatemill.settings.secret import Secret, masked
from gatemill.settings.section import Section
from gatemill.settings.server import Server
from gatemill.settings.vendors import Vendor, vendors

__all__ = [
    "DEFAULT_FILE",
    "ConfigError",
    "ConfigErrors",
    "Keys",
    "Limits",
    "Loaded",
    "Model",
    "Provider",
    "Rates",
    "Secret",
    "Section",
    "Server",
    "Settings",
    "Stores",
    "Target",
    "Timeout",
    "Vendor",
    "leaves",
    "load",
    "masked",
    "path_text",
    "vendors",
]
