"""Who steps alone is alone, and nobody waits for good."""

from __future__ import annotations

import asyncio

import pytest

from service.turns import Turns


def test_many_step_together_and_one_alone() -> None:
    async def scenario() -> None:
        turns, said, go_on = Turns(), list[str](), asyncio.Event()

        async def together(name: str) -> None:
            async with turns.together():
                said.append(f"{name} begins")
                await go_on.wait()
                said.append(f"{name} ends")

        async def alone(name: str) -> None:
            async with turns.alone():
                said.append(f"{name} begins")
                await asyncio.sleep(0)
                said.append(f"{name} ends")

        tasks = [asyncio.create_task(together(name)) for name in "ab"]
        await asyncio.sleep(0.01)
        assert said == ["a begins", "b begins"]
        # Whoever comes later does not keep those waiting who want to be alone.
        tasks += [asyncio.create_task(work) for work in (alone("c"), together("d"), alone("e"))]
        await asyncio.sleep(0.01)
        assert said == ["a begins", "b begins"]
        go_on.set()
        await asyncio.gather(*tasks)
        assert said[2:4] == ["a ends", "b ends"]
        assert said[4:] == [f"{name} {what}" for name in "cde" for what in ("begins", "ends")]

    asyncio.run(scenario())


@pytest.mark.parametrize("failing", [True, False])
def test_a_turn_ends_with_what_fails_or_is_cancelled_in_it(failing: bool) -> None:
    async def scenario() -> None:
        turns = Turns()

        async def fail(alone: bool) -> None:
            async with turns.alone() if alone else turns.together():
                if failing:
                    raise RuntimeError("it failed")
                await asyncio.sleep(60)

        for alone in (True, False):
            task = asyncio.create_task(fail(alone))
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        # And one that waits for its turn.
        async with turns.together():
            waiting = asyncio.create_task(fail(True))
            await asyncio.sleep(0.01)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(5), turns.alone():
            pass
        async with asyncio.timeout(5), turns.together():
            pass

    asyncio.run(scenario())
