"""Which precision a training computes in here."""

import logging

import torch

__all__ = ["has_bf16", "trained_in"]

log = logging.getLogger(__name__)


def has_bf16(device: str) -> bool:
    """Return whether bfloat16 is computed by the device itself (`cpu`, `cuda`, `mps`).

    A processor of x86-64 without AVX512-BF16 or AMX imitates it, several times slower than fp32;
    so does a GPU from before Ampere. Where that isn't known (another architecture, an older
    torch), the answer is yes.
    """
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return True
    able = torch.cpu.get_capabilities()
    if able.get("architecture") != "x86_64":
        return True
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def trained_in(wanted: str, device: str, name: str) -> str:
    """Return the precision to train `name` in: the wanted one, unless it would only cost time."""
    if wanted == "bf16" and not has_bf16(device):
        log.warning(
            "%s: %s has no bf16 instructions; training in fp32, which is faster here",
            name,
            "this processor" if device == "cpu" else "this GPU",
        )
        return "fp32"
    return wanted
