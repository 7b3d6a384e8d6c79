"""Guards of what processes share, each with the test that fails when it is taken away."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("learners", "service", "tests", "benchmarks", "scripts", "pyproject.toml")
JOURNAL = "service/journal/redis*.py"


@dataclass(frozen=True)
class Mutant:
    """The code with one guard less."""

    guard: str
    file: str
    """A pattern; one file that it fits has the text."""
    text: str
    instead: str
    test: str
    """Name of a test, which is to fail."""


def lua(guard: str, script: str, text: str, instead: str, test: str) -> Mutant:
    """Return a mutant of a script."""
    return Mutant(guard, f"service/journal/lua/{script}.lua", text, instead, test)


FENCED = "if own[1] ~= ARGV[2] or own[2] ~= ARGV[3] then"
OTHERS = "if owner ~= '' and owner ~= ARGV[1] and tonumber(own[3]) > now then"
NO_PROGRESS = "if upto ~= previous and ((own[3]"
FULL = "elseif depth + entries > most_entries or (depth > 0 and bytes + size > most_bytes) then"
NEEDED = "if tonumber(pending[f + 1]) > 0 or last > newest then"
STANDS = "if tonumber(ARGV[a + 8]) > 0 and ARGV[a + 1] - ARGV[a + 8] < stands then"
LATER = "math.max(now, last + 1)"
CAREFUL = "mark ~= '' and math.max(deaths, 2) or deaths"
HIGHER_SERIAL = "math.max(now, tonumber(redis.call('HGET', KEYS[2], 'serial') or 0) + 1)"

GOES_BACK = "test_a_commit_that_goes_back_is_a_phantom"
FAILOVER_TOOK = "test_a_commit_of_records_that_a_failover_took_is_a_phantom"
LEASE_ENDS = "test_a_lease_that_is_not_renewed_ends_and_the_former_owner_is_fenced"
ONE_OWNER = "test_a_partition_has_one_owner_and_each_new_one_a_higher_epoch"
IN_A_ROW = "test_owners_that_die_in_a_row_are_counted_until_a_commit"
NOTED = "test_a_note_of_an_entry_tells_how_many_died_on_it"
STOOD_STILL = "test_an_owner_that_stood_still_did_not_die"
DELETED = "test_a_stream_deleted_elsewhere_takes_nothing_more"
MEANWHILE = "test_what_changes_while_a_stream_is_staged_is_noticed"
LASTING = "test_snapshots_outlive_the_time_a_commit_may_take"
TRIM = "test_trim_keeps_what_recovery_needs"
BYTES = "test_a_partition_takes_no_more_bytes_than_it_may"
WAITS = "test_a_new_owner_knows_what_waits_of_a_stream_and_tries_it_anew"
NEWS_TO_COME = "test_news_in_a_format_to_come_have_those_who_wait_ask_again"
COMES_DOWN = "test_a_partition_comes_down_when_an_older_process_comes_and_up_when_it_goes"
OVERDUE = "test_those_who_wait_for_a_lost_record_are_told"

MUTANTS = [
    # What a commit is compared with
    lua("fence", "commit", FENCED, "if false then", LEASE_ENDS),
    lua(
        *("stale", "commit", "if (head[1] or '0') ~= previous then", "if false then"),
        "test_a_commit_must_begin_where_the_last_one_ended",
    ),
    lua("phantom: a record", "commit", "if not found[1] or", "if found[1] and", FAILOVER_TOOK),
    lua("phantom: ahead", "commit", "or tonumber(upto) <= tonumber(previous)", "", GOES_BACK),
    lua(
        "phantom: token", "commit", "if fields['x'] ~= ARGV[7] then", "if false then", FAILOVER_TOOK
    ),
    lua(
        *(
            "phantom: count",
            "commit",
            "if tonumber(fields['k']) -",
            "if false and tonumber(fields['k']) -",
        ),
        "test_a_commit_that_does_not_cover_what_lies_between_is_a_phantom",
    ),
    lua(
        *("a result that is there", "commit", STANDS, "if false then"),
        "test_a_result_is_not_taken_twice_whatever_a_commit_says",
    ),
    lua(
        *("a snapshot that must be there", "commit", "if redis.call('EXISTS', blob) == 0 then"),
        *("if false then", "test_a_commit_whose_snapshot_is_gone_is_a_phantom"),
    ),
    lua(
        "a deleted stream",
        "commit",
        "if redis.call('HEXISTS', KEYS[4], uid) == 1 then",
        "if true then",
        DELETED,
    ),
    lua("a snapshot stays", "commit", "redis.call('PERSIST', snapshot.blob)", "", LASTING),
    lua(
        *("snapshots asked for stay", "commit", "if kept == '0' then", "if true then"),
        "test_the_two_newest_snapshots_of_commits_stay_and_all_kept_ones",
    ),
    lua(
        *("let through when memory is full", "commit", "#!lua flags=allow-oom", "#!lua"),
        "test_a_full_memory_takes_no_events_but_commits",
    ),
    # Entries that end whole processes
    lua("deaths end with progress", "commit", NO_PROGRESS, "if false and ((own[3]", IN_A_ROW),
    lua(
        *("deaths outlive a snapshot", "commit", NO_PROGRESS, "if ((own[3]"),
        "test_to_leave_a_snapshot_is_no_progress",
    ),
    lua(
        "a note ends with progress",
        "commit",
        "'mark', '', 'suspect', '')",
        "'suspect', '')",
        IN_A_ROW,
    ),
    lua("deaths are counted", "acquire", "deaths = deaths + 1", "", IN_A_ROW),
    lua(
        "nobody dies who lets go",
        "acquire",
        "    deaths = 0\n",
        "    deaths = deaths + 1\n",
        IN_A_ROW,
    ),
    lua("a note is reason for care", "acquire", CAREFUL, "deaths", NOTED),
    lua(
        "deaths at one note",
        "acquire",
        "redis.call('HSET', KEYS[1], 'died:' .. own[6], mark)",
        "",
        NOTED,
    ),
    lua("deaths at this note alone", "acquire", "redis.call('HDEL', KEYS[1], field)", "", NOTED),
    lua("a note is of one entry", "mark", "if own[2] == ARGV[2] then", "if true then", NOTED),
    lua(
        "who takes is alive",
        "acquire",
        "redis.call('HDEL', KEYS[1], 'died:' .. ARGV[2])",
        "",
        "test_an_owner_that_takes_again_what_it_lost_did_not_die",
    ),
    lua(
        "who comes back is no death",
        "acquire",
        "elseif own[6] ~= ARGV[2] then",
        "else",
        STOOD_STILL,
    ),
    lua(
        "who wakes up is alive",
        "renew",
        "redis.call('HDEL', KEYS[1], 'died:' .. ARGV[3])",
        "",
        STOOD_STILL,
    ),
    Mutant(
        *("the dead have time to wake up", "service/careful.py", "raise Suspected", "pass"),
        "test_the_entry_that_two_owners_died_on_is_not_stepped",
    ),
    Mutant(
        *("the fenced are alive", JOURNAL, "self._former[partition] = self._owners[partition]"),
        *("pass", STOOD_STILL),
    ),
    lua("a note is the owner's", "mark", "if own[1] ~= ARGV[1] then", "if false then", NOTED),
    # The lease
    lua("one owner", "acquire", OTHERS, "if false then", ONE_OWNER),
    lua("a lease ends", "acquire", OTHERS, "if owner ~= '' and owner ~= ARGV[1] then", LEASE_ENDS),
    lua("mine is mine", "acquire", "and owner ~= ARGV[1] and tonumber", "and tonumber", ONE_OWNER),
    lua("an epoch each", "acquire", "epoch = epoch + 1", "", ONE_OWNER),
    lua(
        *(
            "renewed by its owner",
            "renew",
            "if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then",
        ),
        *("if false then", "test_an_owner_that_lost_its_lease_hears_of_it_when_it_renews"),
    ),
    lua(
        *(
            "let go by its owner",
            "release",
            "if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then",
        ),
        *("if true then", "test_a_former_owner_cannot_give_up_what_another_has"),
    ),
    lua(
        *(
            "the silent are not there",
            "present",
            "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)",
            "",
        ),
        "test_a_worker_that_says_nothing_is_not_there",
    ),
    # The log
    lua(
        *("cap of entries", "append", FULL, "elseif depth > 0 and bytes + size > most_bytes then"),
        "test_a_full_queue_refuses_all_or_none",
    ),
    lua("cap of bytes", "append", FULL, "elseif depth + entries > most_entries then", BYTES),
    lua("the first is let in", "append", "(depth > 0 and bytes + size", "(bytes + size", BYTES),
    lua(
        "appends to no stream",
        "append",
        "if redis.call('HEXISTS', KEYS[3], uid) == 0 then",
        "if false then",
        DELETED,
    ),
    lua(
        "positions go up",
        "append",
        LATER,
        "now",
        "test_a_position_is_above_the_last_whatever_the_clock_says",
    ),
    lua(
        "uids go up",
        "create",
        HIGHER_SERIAL,
        "now",
        "test_a_uid_is_above_the_last_whatever_the_clock_says",
    ),
    lua(
        "one stream a name",
        "create",
        "if uid then",
        "if false then",
        "test_a_stream_made_elsewhere_is_not_made_again",
    ),
    lua("deleted once", "delete", "if not pending then", "if false then", DELETED),
    lua(
        "a snapshot of no stream",
        "keep",
        "if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 0 then",
        "if false then",
        DELETED,
    ),
    lua("a snapshot sent stays", "keep", "redis.call('PERSIST', ARGV[4])", "", LASTING),
    lua("floor of trim", "floor", "floor = math.min(floor, tonumber(row[3] or 0))", "", TRIM),
    lua("what waits is kept", "floor", NEEDED, "if last > newest then", TRIM),
    lua(
        *(
            "what no snapshot holds is kept",
            "floor",
            NEEDED,
            "if tonumber(pending[f + 1]) > 0 then",
        ),
        "test_trim_takes_nothing_from_a_stream_without_a_snapshot",
    ),
    Mutant("trim heeds the floor", JOURNAL, '"-", entry_id(floor)', '"-", "+"', TRIM),
    # Streams from another store
    lua(
        "adopted by the owner",
        "adopt",
        FENCED,
        "if false then",
        "test_a_stream_is_adopted_by_the_owner_of_its_partition_alone",
    ),
    lua(
        "adopted under a free name",
        "adopt",
        "if redis.call('HEXISTS', KEYS[2], ARGV[5]) == 1 then",
        "if false then",
        MEANWHILE,
    ),
    lua(
        "adopted while nothing waits",
        "adopt",
        "if tonumber(head[3] or 0) > 0 then",
        "if false then",
        MEANWHILE,
    ),
    lua(
        "adopted whole",
        "adopt",
        "if redis.call('EXISTS', key) == 0 then",
        "if false then",
        MEANWHILE,
    ),
    # What a process does with refusals, and without an answer
    Mutant("refusals are heard", JOURNAL, 'if kind == b"OK":', "if True:", LEASE_ENDS),
    Mutant(
        *("the fenced owns nothing", JOURNAL),
        "            self._leases.fenced(self._number)\n            raise Fenced(f",
        *("            raise Fenced(f", LEASE_ENDS),
    ),
    Mutant(
        *("none that the caller knows not of", JOURNAL),
        "await self._leases.release(self._number)",
        *("pass", "test_a_partition_whose_streams_could_not_be_read_is_not_kept"),
    ),
    Mutant(
        "doubtful records",
        JOURNAL,
        "if self.in_doubt:",
        "if False:",
        "test_a_server_that_was_away_is_taken_up_again",
    ),
    Mutant(
        *("another history", JOURNAL, "if history == self.history:", "if True:"),
        "test_another_history_makes_what_was_read_doubtful",
    ),
    Mutant("a look for the lost", JOURNAL, "await self._look_for_lost()", "pass", OVERDUE),
    Mutant(
        *("the lost by token", JOURNAL, ' and entries[0][1][b"x"] == each.token', ""),
        "test_those_who_wait_for_a_record_that_is_another_now_are_told",
    ),
    Mutant(
        *(
            "replies that went by",
            JOURNAL,
            "if int(at or 0) < each.position and there:",
            "if there:",
        ),
        "test_those_whose_replies_went_by_unheard_are_told",
    ),
    Mutant(
        *("news that are missing", JOURNAL, "if previous > self.reached[partition]:", "if False:"),
        "test_a_commit_that_was_not_heard_of_is_looked_for",
    ),
    Mutant(
        *("replicas have it", JOURNAL, "copies >= self._replicas", "copies >= 0"),
        "test_replicated_is_refused_without_replicas",
    ),
    Mutant(
        *("no events into a full memory", JOURNAL, "if self.full:", "if False:"),
        "test_events_are_refused_while_there_is_memory_for_commits",
    ),
    # Two builds over one store
    Mutant("a new owner begins", JOURNAL, "if epoch != known:", "if False:", WAITS),
    Mutant("news to come", JOURNAL, "raise Unknown(head)", "pass", NEWS_TO_COME),
    Mutant(
        *("a format all read", JOURNAL, "min(self._write_format, *self._formats.values(), FORMAT)"),
        *("self._write_format", COMES_DOWN),
    ),
    Mutant(
        *("before there were notes", JOURNAL, "dict.fromkeys(names, OLDEST)", "{}", COMES_DOWN),
    ),
    Mutant(
        *("quiet streams come down", "service/rewriting.py", "await rewrite(uid)", "pass"),
        COMES_DOWN,
    ),
    Mutant(
        *("said before it is written", "service/saving.py"),
        *("await self._journal.need(self._partition, written)", "pass", COMES_DOWN),
    ),
    Mutant(
        *("once for what stays", "service/rewriting.py", "ahead - self._tried", "ahead"),
        "test_what_cannot_be_said_in_the_older_format_is_written_once_and_stays",
    ),
    lua(
        *("the owner's format", "need"),
        *("if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then", "if false then"),
        "test_a_partition_that_takes_a_format_to_read_says_so_while_it_is_owned",
    ),
    Mutant(
        *("to one who can read it", "service/shares.py", ">= self._journal.needed(", ">= 0 * ("),
        "test_a_partition_is_given_to_one_who_can_read_it",
    ),
    Mutant(
        *("what waits is not passed over", "service/saving.py"),
        *(
            "or row.held_after is not None:\n                continue",
            ":\n                continue",
        ),
        "test_a_stream_that_waits_has_no_snapshot_written",
    ),
]


def where(name: str) -> str:
    """Return a test's file, from the root."""
    found = [
        path
        for path in (ROOT / "tests/service").glob("test_*.py")
        if re.search(rf"^def {name}\(", path.read_text(), re.MULTILINE)
    ]
    if len(found) != 1:
        raise LookupError(f"{name}: got {len(found)} tests, expected one")
    return str(found[0].relative_to(ROOT))


class Copy:
    """The code once more, to take guards away from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name)
            else:
                shutil.copy2(ROOT / name, folder / name)

    def test(self, *names: str) -> set[str]:
        """Run tests over a shared server; return the names of those that failed."""
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no"]
        command += sorted(f"{where(name)}::{name}" for name in names)
        # Some tests run over every engine; one shared server is enough.
        command += ["-k", "not sqlite and not redis]", f"--basetemp={self.folder / 'tmp'}"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
        environment["PYTHONPATH"] = str(self.folder)
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode in (0, 1), done.stdout + done.stderr
        return set(re.findall(r"^FAILED \S+::(\w+)", done.stdout, re.MULTILINE))

    def survives(self, mutant: Mutant) -> bool:
        """Take a guard away, see if its test still passes, and put it back."""
        having = [path for path in self.folder.glob(mutant.file) if mutant.text in path.read_text()]
        assert len(having) == 1, f"{mutant.guard}: got {len(having)} files, expected one"
        (path,) = having
        original = path.read_text()
        assert original.count(mutant.text) == 1, f"{mutant.guard}: it stands there more than once"
        path.write_text(original.replace(mutant.text, mutant.instead))
        try:
            return mutant.test not in self.test(mutant.test)
        finally:
            path.write_text(original)
