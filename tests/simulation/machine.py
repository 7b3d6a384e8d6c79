"""A machine whose clock is not the world's: one event loop that runs several processes.

Which of the processes goes on next is drawn from a seed, and time passes only when all of them
wait. A process can be paused, as by SIGSTOP, and killed, as by SIGKILL: what it would have done
next is never done, its `finally` blocks among it.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from typing import Any

TURN_SECONDS = 20e-6
"""The longest that one turn of a process takes."""
MOST_TURNS = 500_000
"""Ten times what a schedule takes."""
MOST_AWAITS = 10
THREAD_SECONDS = 1e-3
"""How long work that is handed to a thread takes, in the mean."""


class Circles(Exception):
    """Processes go in circles"""


class Killed(BaseException):
    """The process is gone, and whoever catches this with it"""


class Turn:
    """A callback that waits for its turn; what asyncio calls a handle."""

    __slots__ = ("args", "callback", "context", "dropped", "moment", "process")

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context,
        process: Process,
        moment: float,
    ) -> None:
        self.callback, self.args, self.context = callback, args, context
        self.process, self.moment = process, moment
        self.dropped = False

    def cancel(self) -> None:
        """Have it never happen."""
        self.dropped = True

    def cancelled(self) -> bool:
        """Say whether it will never happen."""
        return self.dropped

    def when(self) -> float:
        """Return the moment it is due at."""
        return self.moment


class Process:
    """A process: its turns are taken in order, and those of others between them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready: deque[Turn] = deque()
        self.paused = False
        self.dead = False
        self.tasks: list[asyncio.Task[Any]] = []

    def __repr__(self) -> str:
        return self.name


_CURRENT: ContextVar[Process] = ContextVar("process")


def current() -> Process:
    """Return the process whose turn it is."""
    return _CURRENT.get()


class Machine:
    """The loop: as much of `asyncio.AbstractEventLoop` as the service asks for."""

    def __init__(self, seed: int | str) -> None:
        self.rng = random.Random(seed)
        self.processes: list[Process] = []
        self.failures: list[str] = []
        """What went wrong where nobody was there to be told."""
        self._as_loop: Any = self
        self._now = 0.0
        self._timers: list[tuple[float, int, Turn]] = []
        self._count = self._turns = 0

    # Processes

    def spawn(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> Process:
        """Start a process."""
        process = Process(name)
        self.processes.append(process)
        self.call_soon(lambda: self.create_task(work()), context=self.context_of(process))
        return process

    def context_of(self, process: Process) -> Context:
        """Return a context in which it is a process's turn."""
        context = copy_context()
        context.run(_CURRENT.set, process)
        return context

    def kill(self, process: Process) -> None:
        """End a process where it stands."""
        process.dead = True
        process.ready.clear()

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass, or as much of it as it takes; say whether `until` came true.

        Raises `Circles` if processes are never done with what they do.
        """
        end = self._now + seconds
        asyncio._set_running_loop(self._as_loop)
        try:
            while self._now < end:
                if until():
                    return True
                self._pass_time(end)
                runnable = [each for each in self.processes if each.ready and not each.paused]
                if runnable:
                    self._take_turn(self.rng.choice(runnable))
                if self._turns > MOST_TURNS:
                    raise Circles(f"turns: got more than {MOST_TURNS}")
        finally:
            asyncio._set_running_loop(None)
        return until()

    def _pass_time(self, end: float) -> None:
        timers = self._timers
        if not any(each.ready and not each.paused for each in self.processes):
            self._now = max(self._now, min(end, timers[0][0]) if timers else end)
        while timers and timers[0][0] <= self._now:
            turn = heapq.heappop(timers)[2]
            if not turn.dropped and not turn.process.dead:
                turn.process.ready.append(turn)

    def _take_turn(self, process: Process) -> None:
        turn = process.ready.popleft()
        self._turns += 1
        if turn.dropped:
            return
        self._now += TURN_SECONDS * self.rng.random()
        try:
            turn.context.run(turn.callback, *turn.args)
        except Killed:
            assert process.dead

    def close(self) -> None:
        """Let go of everything; what was under way comes to nothing."""
        for process in self.processes:
            process.dead = True
            process.ready.clear()
        self._timers.clear()
        for process in self.processes:
            for task in process.tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    self._end(process, task)

    def _end(self, process: Process, task: asyncio.Task[Any]) -> None:
        for _ in range(MOST_AWAITS):
            with suppress(RuntimeError):  # It awaits while it is being closed.
                self.context_of(process).run(task.get_coro().close)
                return

    # What asyncio asks of a loop

    def time(self) -> float:
        """Return the seconds since the machine was started."""
        return self._now

    def get_debug(self) -> bool:
        """Say no."""
        return False

    def is_running(self) -> bool:
        """Say yes."""
        return True

    def is_closed(self) -> bool:
        """Say no: it is let go of as a whole."""
        return False

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Turn:
        """Queue a turn of whichever process the context is one of."""
        context = copy_context() if context is None else context
        process = context[_CURRENT]
        turn = Turn(callback, args, context, process, self._now)
        if not process.dead:
            process.ready.append(turn)
        return turn

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Turn:
        """Queue a turn for later."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Turn:
        """Queue a turn for a moment."""
        context = copy_context() if context is None else context
        turn = Turn(callback, args, context, context[_CURRENT], when)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, turn))
        return turn

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future."""
        return asyncio.Future(loop=self._as_loop)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """Start a task of the process whose turn it is."""
        task = asyncio.Task(coro, loop=self._as_loop, **options)
        current().tasks.append(task)
        return task

    def run_in_executor(
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Do work a little later: a thread would not ask the seed when."""
        future = self.create_future()

        def work() -> None:
            try:
                done = func(*args)
            except Exception as error:
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(done)

        self.call_later(self.rng.expovariate(1 / THREAD_SECONDS), work)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Note what nobody was told."""
        if not isinstance(context.get("exception"), Killed):
            self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")
