"""Runs exported networks on ONNX Runtime: what is asked for is what runs, never a silent CPU."""

from models.runtime.network import Network
from models.runtime.processor import multiplies_int8
from models.runtime.providers import PROVIDERS, Provider, Span, spans_of
from models.runtime.session import open_session

__all__ = [
    "PROVIDERS",
    "Network",
    "Provider",
    "Span",
    "multiplies_int8",
    "open_session",
    "spans_of",
]
