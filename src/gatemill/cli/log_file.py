"""The file that a command logs to, if there is to be one. Rule: one that cannot be opened says so in a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.cli.failure import Failure

if TYPE_CHECKING:
    from gatemill.observe.logfile import LogFile
    from gatemill.settings.server import Server


def opened(server: Server) -> LogFile | None:
    """The file of `server.log_file`; None is standard output. Raises Failure."""
    from gatemill.observe import logfile

    try:
        return logfile.opened(server.log_file, server.log_file_bytes_max, server.log_files_max)
    except OSError as error:
        raise Failure(
            f"server.log_file {server.log_file} cannot be opened: {error.strerror}",
            fix="make its folder, or choose another file",
        ) from error
