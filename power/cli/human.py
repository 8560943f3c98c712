"""Sizes and times in Ollama's words (its format/bytes.go and format/time.go)."""

from __future__ import annotations

from datetime import datetime, timedelta

MINUTE, HOUR, DAY = 60, 3600, 86400  # seconds
FOREVER = timedelta(days=20 * 365)  # nobody means a keep-alive of 20 years


def human_bytes(n: int) -> str:
    """`4.7 GB`: powers of 1000, one decimal below 10 unless it is a whole number."""
    value, unit = float(n), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{int(value)} {unit}" if value >= 10 or value == int(value) else f"{value:.1f} {unit}"


def human_time(then: datetime | None, now: datetime) -> str:
    """`3 weeks ago`, `4 minutes from now`; None, and the zero time of Go, are `Never`."""
    if then is None or then.year == 1:
        return "Never"
    return f"{human_duration(now - then)} ago" if then <= now else f"{human_duration(then - now)} from now"


def human_until(expires: datetime | None, now: datetime) -> str:
    """When a model leaves memory."""
    if expires is None or expires - now > FOREVER:
        return "Forever"
    return "Stopping..." if expires < now else human_time(expires, now)


def human_duration(duration: timedelta) -> str:
    """The largest unit that says something; never negative."""
    seconds = int(duration.total_seconds())
    hours, days = round(seconds / HOUR), seconds // DAY
    steps = (
        (1, "Less than a second"),
        (2, "1 second"),
        (MINUTE, f"{seconds} seconds"),
        (2 * MINUTE, "About a minute"),
        (HOUR, f"{seconds // MINUTE} minutes"),
        (1.5 * HOUR, "About an hour"),
        (48 * HOUR, f"{hours} hours"),
        (14 * DAY, f"{days} days"),
        (60 * DAY, f"{days // 7} weeks"),
        (730 * DAY, f"{days // 30} months"),
    )
    return next((text for below, text in steps if seconds < below), f"{days // 365} years")


def human_processor(size: int, size_vram: int) -> str:
    """Where a model's bytes are: `100% GPU`, `25%/75% CPU/GPU`."""
    if size <= 0 or size_vram > size:
        return "Unknown"
    if size_vram in (0, size):
        return "100% GPU" if size_vram else "100% CPU"
    on_cpu = round(100 * (size - size_vram) / size)
    return f"{on_cpu}%/{100 - on_cpu}% CPU/GPU"


def ordinal(n: int) -> str:
    """`3rd`."""
    suffix = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{suffix}"
