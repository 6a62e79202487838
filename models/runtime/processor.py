"""What the processor of this machine can do; serves the choice of a network's precision."""

from functools import cache
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
# Sums of products of eight-bit numbers in one instruction, on x86 and on ARM.
INSTRUCTIONS = frozenset({"avx512_vnni", "avx_vnni", "asimddp"})


@cache
def multiplies_int8(cpu_info: Path = CPU_INFO) -> bool:
    """Whether products of eight-bit numbers are added up exactly, and quicker than floats.

    Older x86 processors add pairs of them in sixteen bits, which overflow. False where the system
    doesn't say.
    """
    try:
        lines = cpu_info.read_text().splitlines()
    except OSError:
        return False
    flags = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return not INSTRUCTIONS.isdisjoint(next(flags, "").split())
