"""Every setting of the program, read from `SYNAPTIDE_*` variables and overridden by flags."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.formats import FORMAT, OLDEST

MIB = 1 << 20


class Settings(BaseSettings):
    """What an operator may choose; the defaults suit one process on one machine."""

    model_config = SettingsConfigDict(env_prefix="SYNAPTIDE_", extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    insecure: bool = Field(
        False, description="Allow an address that other machines reach, without authentication."
    )
    data_dir: Path = Field(Path("data"), description="Folder of the embedded journal.")
    redis: SecretStr | None = Field(
        None,
        description="Address of a Redis or Valkey server, or with redis+cluster:// of a cluster, "
        "that keeps the journal instead of the folder.",
    )
    role: Literal["all", "api", "worker"] = Field(
        "all", description="What this process does: answer requests, apply events, or both."
    )
    redis_prefix: str = Field(
        "synaptide",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="What the names of all keys begin with, so that several can share a server.",
    )
    redis_partitions: int = Field(
        64,
        ge=1,
        le=1_024,
        description="Parts of the journal, each applied by one process; fixed at the first start.",
    )
    lease_seconds: float = Field(
        10.0,
        ge=0.5,
        le=600,
        description="How long a process that has died keeps its partitions from others.",
    )
    ack_replicas: int = Field(
        1, ge=1, description="How many replicas have to have an event for `ack=replicated`."
    )
    write_format: int = Field(
        FORMAT,
        description="The newest format that is written, so that an older version can be gone back "
        "to; never newer than every process reads.",
    )
    synchronous: Literal["FULL", "NORMAL"] = Field(
        "FULL", description="FULL survives a power cut; NORMAL may lose its last moments."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe message that is logged."
    )
    shards: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=256,
        description="Threads that step learners.",
    )
    max_body_bytes: int = Field(16 * MIB, ge=1, description="Largest request body.")
    max_frame_bytes: int = Field(1 * MIB, ge=1, description="Largest WebSocket frame.")
    max_stream_bytes: int = Field(
        512 * MIB, ge=1, description="Most memory a stream's learner and indicators may need."
    )
    max_learners_bytes: int = Field(
        default_factory=lambda: _machine_bytes() // 2,
        ge=1,
        description="Most memory that all learners hold together; beyond it, the streams that have "
        "been quiet longest are written out until their next event.",
    )
    max_streams: int = Field(10_000, ge=1, description="How many streams there may be.")
    max_snapshot_bytes: int = Field(
        512 * MIB, ge=1, description="Largest snapshot that is read, packed or unpacked."
    )
    max_queued_entries: int = Field(
        100_000, ge=1, description="Entries waiting to be applied before posts are answered 429."
    )
    max_queued_bytes: int = Field(
        256 * MIB,
        ge=1,
        description="Bytes of events waiting in a partition of a Redis journal before posts are "
        "answered 429.",
    )
    socket_credits: int = Field(
        4_096, ge=1, description="Events one WebSocket may have outstanding."
    )
    snapshot_every_seconds: float = Field(
        60.0, gt=0, description="Age of the last snapshot at which an active stream takes another."
    )
    results_kept: int = Field(10_000, ge=1, description="Results kept for each stream.")
    log_kept_entries: int = Field(
        1_000_000, ge=0, description="Entries kept in the log beyond what recovery needs."
    )
    log_kept_seconds: float = Field(
        7 * 86_400.0, ge=0, description="Age to which the log is kept beyond what recovery needs."
    )
    metrics_max_streams: int = Field(
        500, ge=0, description="Streams that have series of their own under /metrics."
    )
    drain_seconds: float = Field(
        5.0, ge=0, description="How long requests may take to end when the service stops."
    )

    @model_validator(mode="after")
    def _refuse_unknown_format(self) -> Self:
        if self.write_format not in (OLDEST, FORMAT):
            raise ValueError(
                f"write_format: got {self.write_format}, expected {OLDEST} or {FORMAT}, "
                "which this build can write"
            )
        return self

    @model_validator(mode="after")
    def _refuse_lone_role(self) -> Self:
        if self.role != "all" and self.redis is None:
            raise ValueError(
                f"role: got {self.role!r}, and the embedded journal is of one process; "
                "expected all, or an address with --redis"
            )
        return self

    @model_validator(mode="after")
    def _refuse_public_address(self) -> Self:
        if not self.insecure and not _is_loopback(self.host):
            raise ValueError(
                f"host: got {self.host!r}, which other machines may reach, and the service has no "
                "authentication; expected a loopback address, or --insecure"
            )
        return self


def _machine_bytes() -> int:
    """Return the memory this process may use: the machine's, or its container's if that is less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        granted = int(Path("/sys/fs/cgroup/memory.max").read_text("ascii"))
    except (OSError, ValueError):  # Not in a container, or in one without a limit.
        return machine
    return min(machine, granted)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
