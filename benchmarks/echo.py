"""The least a service can do with an event: read it, check it, and send it back."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

from service.schemas import Event

app = FastAPI()


@app.post("/events")
async def echo(event: Event) -> Event:
    """Return the event."""
    return event


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0), backlog=2_048) as listener:
        print(f"echo listens on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False)
        uvicorn.Server(config).run(sockets=[listener])
