"""Each guard of the shared journal bears a load: without it a test of its own fails."""

from __future__ import annotations

import pytest

from tests import valkey
from tests.mutants import MUTANTS, Copy, Mutant, where


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    valkey.binary()  # Without a server all this is skipped.
    return Copy(tmp_path_factory.mktemp("copy"))


def test_every_guard_has_a_test() -> None:
    assert all(where(mutant.test) for mutant in MUTANTS)
    assert len({mutant.guard for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.long
def test_with_all_guards_their_tests_pass(copy: Copy) -> None:
    assert copy.test(*{mutant.test for mutant in MUTANTS}) == set()


@pytest.mark.long
@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.guard for mutant in MUTANTS])
def test_without_a_guard_its_test_fails(copy: Copy, mutant: Mutant) -> None:
    assert not copy.survives(mutant)
