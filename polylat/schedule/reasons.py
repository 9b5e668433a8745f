"""Reason codes of precedences: why an event waits for another one."""

from __future__ import annotations

from typing import Literal

__all__ = [
    "BARRIER",
    "CAPACITY",
    "FLOW",
    "NAMES",
    "PASSED",
    "PORT",
    "SERVED",
    "START",
    "STARTED",
    "UNKNOWN",
    "Wait",
    "WaitedFor",
]

FLOW = 0
"""The target needs a value that the source brings."""
BARRIER = 1
"""A Sequential split orders the two."""
CAPACITY = 2
"""The source frees the buffer slot that the target needs."""
PORT = 3
"""The port serves the source first."""
START = 4
"""No reason of its own: the target starts at time 0, or with its tile iteration."""

UNKNOWN = 5
"""The source is not determined."""

PASSED = 0
"""The source must have finished, its fixed latency included."""
SERVED = 1
"""The source must have been served by its ports."""
STARTED = 2
"""The source must have been allowed to start."""

WaitedFor = Literal["flow", "barrier", "capacity", "port"]
"""Waits for data (flow), a Sequential (barrier), a buffer slot (capacity), or a busy port."""

Wait = WaitedFor | Literal["unknown"] | None
"""What a service waits for: nothing (None), or something that is not determined (unknown)."""

NAMES: dict[int, WaitedFor] = {
    FLOW: "flow",
    BARRIER: "barrier",
    CAPACITY: "capacity",
    PORT: "port",
}
"""The name of each code but `START`."""
