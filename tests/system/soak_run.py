"""A pipeline in a process of its own, with a model that costs nothing, for figures about memory.

In: one line of JSON on stdin, {"config": {...}, "factory": "module:function"}. Out: "ready" once it
runs, and after SIGTERM its `Summary` as one JSON line. Nothing of the test lives in this process,
so that whatever grows in it is the product's.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys

from pipeline.app import Pipeline
from pipeline.config import PipelineConfig
from pipeline.log import configure
from streamer.clock import SystemClock


async def serve(config: PipelineConfig, factory: str) -> str:
    """Run until SIGTERM; return the summary as JSON."""
    pipeline = Pipeline(config, SystemClock(), [], factory)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, pipeline.stop)
    print("ready", flush=True)
    await pipeline.run()
    return pipeline.status.summary().model_dump_json()


if __name__ == "__main__":
    configure("error")
    orders = json.loads(sys.stdin.readline())
    print(asyncio.run(serve(PipelineConfig.model_validate(orders["config"]), orders["factory"])))
