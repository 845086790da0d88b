"""A small result of the benchmark, as it is written to disk."""

from bench.figures import Result, ratios
from bench.machine import Machine

FIGURES = {
    "chat_per_cpu_s": {"nginx": [40000.0, 44000.0], "gatemill": [16000.0, 17600.0]},
    "added_p50_us": {"nginx": [200.4], "gatemill": [-1.0]},
    "idle_pss_mb": {"nginx": [1.0]},
    "failed": {"nginx": [0.0], "gatemill": [3.0]},
}


def result() -> Result:
    return Result(
        date="2026-11-21T03:00:00+00:00",
        command="python -m bench",
        machine=Machine("Some CPU", 2, 25_000_000_000, "Linux 6", "3.11.7"),
        subjects=["nginx", "gatemill", "litellm"],
        versions={"nginx": "1.22.1", "gatemill": "0.1.0"},
        setups={"nginx": "1 worker", "gatemill": "all on", "litellm": "1 worker"},
        notes=["A note."],
        figures=FIGURES,
        ratios=ratios(FIGURES, ["nginx", "gatemill"]),
    )
