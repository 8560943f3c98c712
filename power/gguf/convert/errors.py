"""What a conversion fails with."""

from __future__ import annotations

from power.errors import PowerError


class ConvertError(PowerError):
    """The checkpoint cannot be converted; the message says what is wrong, in which file, and the way out."""
