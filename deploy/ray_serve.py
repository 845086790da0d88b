"""Our runner as a Ray Serve deployment: replicas, GPUs and autoscaling are Ray's.

    pip install 'gatemill[torch]' 'ray[serve]'
    serve run deploy.ray_serve:build model=/models/llama name=llama gpus=1 replicas_max=4

The gateway reaches it as any server of OpenAI's format, by `base_url = "http://HOST:8000/v1"`.
"""

from __future__ import annotations

import msgspec
from ray import serve

from gatemill.runner.app import App
from gatemill.runner.engine import Settings


def build(arguments: dict[str, str]) -> serve.Application:
    """The application for `serve run`. All options of the runner may be given, by their names."""
    said = dict(arguments)
    gpus, replicas_max = float(said.pop("gpus", 0)), int(said.pop("replicas_max", 1))
    settings = msgspec.convert(said, Settings, strict=False)
    places = settings.concurrency_max + settings.waiting_max
    deployment = serve.deployment(
        serve.ingress(App(settings))(),  # loads the model when a replica starts
        name=settings.name,
        ray_actor_options={"num_gpus": gpus, "num_cpus": settings.threads},
        max_ongoing_requests=places + 8,  # above it, so that a full queue is a 429 and not a wait
        autoscaling_config={"min_replicas": 1, "max_replicas": replicas_max},
    )
    return deployment.bind()
