"""Loads TensorRT's libraries for `models.runtime.session`: ONNX Runtime doesn't look for them."""

import ctypes
import importlib.util
from pathlib import Path

from models.errors import ProviderError

LIBRARIES = ("libnvinfer.so.10", "libnvinfer_plugin.so.10", "libnvonnxparser.so.10")
PACKAGE = "tensorrt_libs"


def load_tensorrt() -> None:
    """Load TensorRT 10 from the installed package, else from where the system looks.

    Raises:
        ProviderError: a library is missing, or one that it needs; the text names it.
    """
    found = importlib.util.find_spec(PACKAGE)
    folders = [Path(place) for place in (found.submodule_search_locations or [])] if found else []
    for name in LIBRARIES:
        paths = [folder / name for folder in folders if (folder / name).is_file()]
        try:
            ctypes.CDLL(str(paths[0]) if paths else name, mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            raise ProviderError(
                f"tensorrt was asked for, but {name} can't be loaded ({error}): install "
                "tensorrt-cu12 10, which is in the extra `gpu`, or ask for cuda or cpu"
            ) from error
