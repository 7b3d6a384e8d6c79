"""The composition root: chooses the engine, wires journal, worker and routes, and serves them."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial

import structlog
import uvicorn
from fastapi import FastAPI

from service import held, logs
from service.api import (
    dashboard,
    errors,
    events,
    labels,
    live,
    operations,
    overview,
    sockets,
    streams,
    templates,
)
from service.api.requests import CountedRequests
from service.api.state import Api
from service.errors import SettingsError
from service.journal.base import Journal
from service.journal.sqlite import SqliteJournal
from service.metrics import Metrics
from service.settings import Settings
from service.shares import Shares
from service.tasks import end
from service.turns import Turns
from service.version import VERSION
from service.warm import warm
from service.worker import Worker

log = structlog.get_logger()

DESCRIPTION = """Post events; a learner predicts each one, learns from it, and answers how
surprising it was."""


def open_journal(settings: Settings) -> Journal:
    """Choose the engine. Nothing else in the program knows that there could be two."""
    if settings.redis is None:
        return SqliteJournal(
            settings.data_dir,
            synchronous=settings.synchronous,
            max_queued_entries=settings.max_queued_entries,
            results_kept=settings.results_kept,
            log_kept_entries=settings.log_kept_entries,
            log_kept_seconds=settings.log_kept_seconds,
            write_format=settings.write_format,
        )
    from service.journal.redis import RedisJournal  # What is not used is not loaded.

    return RedisJournal(
        settings.redis.get_secret_value(),
        prefix=settings.redis_prefix,
        partitions=settings.redis_partitions,
        lease_seconds=settings.lease_seconds,
        follows_results=settings.role != "worker",
        replicas=settings.ack_replicas,
        max_queued_entries=settings.max_queued_entries,
        max_queued_bytes=settings.max_queued_bytes,
        results_kept=settings.results_kept,
        log_kept_entries=settings.log_kept_entries // settings.redis_partitions,
        log_kept_seconds=settings.log_kept_seconds,
        write_format=settings.write_format,
    )


def create_app(settings: Settings) -> FastAPI:
    """Return the application; its journal is opened when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running(settings, app.state.api):
            yield

    app = FastAPI(
        title="Synaptide",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_tags=[
            {"name": "streams", "description": "What learns."},
            {"name": "templates", "description": "Streams made by their first event."},
            {"name": "events", "description": "What is learned from, and what came of it."},
            {"name": "labels", "description": "What was true of events, said after them."},
            {"name": "operations", "description": "Health, metrics and version."},
        ],
    )
    app.state.api = Api(settings, Metrics(settings.metrics_max_streams))
    # Routes are tried in this order, so what is asked most often comes first.
    answering = (events, labels, live, sockets, streams, overview, templates)
    for module in () if settings.role == "worker" else answering:
        app.include_router(module.router)
    app.include_router(operations.router)
    if settings.role != "worker":
        app.include_router(dashboard.router)
    app.add_middleware(CountedRequests, metrics=app.state.api.metrics)
    errors.install(app)
    return app


@asynccontextmanager
async def running(settings: Settings, api: Api) -> AsyncIterator[None]:
    """Open the journal, run the workers, and on the way out leave everything committed."""
    journal = open_journal(settings)
    await journal.open()
    held.hold_unreadable(journal, journal.streams())
    pool = ThreadPoolExecutor(settings.shards, thread_name_prefix="step")
    shares = Shares(
        journal,
        partial(_worker, journal, settings, api.metrics, pool, Turns()),
        api.metrics,
        settings.lease_seconds,
        settings.max_learners_bytes,
    )
    api.metrics.watch(journal, shares.memories)
    applies = settings.role != "api"
    api.open(journal, shares.healthy if applies else lambda: True)
    background = [
        asyncio.create_task(work)
        for work in (_work(shares, api, pool, applies), _keep_trim(journal), _keep_tidy(shares))
    ]
    try:
        yield
    finally:
        api.drain()
        await end(background)
        await shares.stop()
        await journal.close()
        pool.shutdown()
        log.info("stopped")


def _worker(
    journal: Journal,
    settings: Settings,
    metrics: Metrics,
    pool: ThreadPoolExecutor,
    turns: Turns,
    partition: int,
) -> Worker:
    return Worker(journal, partition, settings, metrics, pool, turns)


async def _work(shares: Shares, api: Api, pool: ThreadPoolExecutor, applies: bool) -> None:
    if applies:
        try:
            await asyncio.get_running_loop().run_in_executor(pool, warm)
        except Exception:
            # Not ready it stays, but not for a reason that nobody hears of.
            log.exception("the learners cannot be compiled")
            raise
    _settle_memory()
    api.warm = True
    if applies:
        await shares.run()


def _settle_memory() -> None:
    """Keep the collector from walking, again and again, over what stays as long as the process.

    Events hold no cycles; with the defaults, collections take a fifth of a busy service's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


async def _keep_trim(journal: Journal, every_seconds: float = 60.0) -> None:
    while True:
        await asyncio.sleep(every_seconds)
        try:
            await journal.trim(time.time())
        except Exception:
            log.exception("trim failed")


async def _keep_tidy(shares: Shares, every_seconds: float = 1.0) -> None:
    while True:
        await asyncio.sleep(every_seconds)
        await shares.tidy()


class Server(uvicorn.Server):
    """uvicorn, which first lets long replies end when it is told to stop."""

    def __init__(self, config: uvicorn.Config, api: Api) -> None:
        super().__init__(config)
        self._api = api

    def handle_exit(self, sig: int, frame: object) -> None:
        """Begin to drain, then stop. To have been told to with SIGTERM is no failure."""
        self._api.drain()
        if sig == signal.SIGTERM:
            self.should_exit = True
        else:
            super().handle_exit(sig, frame)  # type: ignore[arg-type]


def listen(settings: Settings) -> socket.socket:
    """Take the address, or raise `SettingsError` before anything else has begun."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2_048)
    except OSError as error:
        reason = (error.strerror or "").partition(" (")[0]
        where = f"{settings.host} port {settings.port}"
        raise SettingsError(f"cannot listen on {where}: {reason}") from None


def run(settings: Settings) -> None:
    """Serve until told to stop; raise `SettingsError` when that cannot begin."""
    logs.configure(settings.log_level)
    with listen(settings) as listener:
        # The folder is taken here once, so that a refusal is a sentence and not a traceback.
        asyncio.run(_probe(settings))
        app = create_app(settings)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            ws_max_size=settings.max_frame_bytes,
            timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
        )
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        print(f"Synaptide listens on http://{shown}:{port}", flush=True)
        Server(config, app.state.api).run(sockets=[listener])


async def _probe(settings: Settings) -> None:
    journal = open_journal(settings)
    await journal.open()
    await journal.close()
