"""Text stages between a model's tokens and a client: pure, incremental, feed/flush."""

from power.stream.stage import Stage
from power.stream.stop import StopMatcher
from power.stream.thinking import ThinkingSplitter
from power.stream.utf8 import Utf8Decoder

__all__ = ["Stage", "StopMatcher", "ThinkingSplitter", "Utf8Decoder"]
