"""Work in a thread that nobody waits for any more."""

import asyncio
import threading

import pytest

from tasks.archives.zip import Checkpoint
from tasks.pipeline import _in_thread


async def test_a_cancelled_thread_is_out_before_anything_else_happens() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work(checkpoint: Checkpoint) -> None:
        begun.set()
        try:
            while True:
                checkpoint()
        finally:
            ended.set()

    task = asyncio.create_task(_in_thread(work))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
