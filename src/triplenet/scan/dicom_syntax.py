"""Transfer syntaxes: which can be decoded and by what, and which one a compressed stream itself is in."""

from __future__ import annotations

import struct

import pydicom.config
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from triplenet.errors import UnsupportedSyntax
from triplenet.scan.codestream import J2K_START, JPEG_LS, JPEG_START, jpeg_process

NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"})
BY_SIMPLEITK = frozenset(
    {
        JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless,
        JPEG2000Lossless, JPEG2000,
    }
)  # fmt: skip
BY_PLUGIN = {
    RLELossless: "pydicom",
    HTJ2KLossless: "pylibjpeg",
    HTJ2KLosslessRPCL: "pylibjpeg",
    HTJ2K: "pylibjpeg",
}
DECODED = frozenset({*BY_SIMPLEITK, *BY_PLUGIN})
"""Compressed syntaxes that are decoded where their plugin is installed."""

_HIGH_THROUGHPUT = frozenset({HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K})
_OF_PROCESS = {  # what a JPEG stream's process may be called, its own name first
    0xC0: (JPEGBaseline8Bit, JPEGExtended12Bit),
    0xC1: (JPEGExtended12Bit,),
    0xC3: (JPEGLossless, JPEGLosslessSV1),
    JPEG_LS: (JPEGLSNearLossless, JPEGLSLossless),  # how near stands behind the header, so in doubt with loss
}
_CAPABILITIES = b"\xff\x50"  # the marker that high-throughput JPEG 2000 has behind its sizes
_NAMES = {  # that pydicom does not know yet
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
}


def syntax_name(syntax: str) -> str:
    """A transfer syntax in words; its UID where it has none."""
    return str(_NAMES.get(syntax) or UID(syntax, validation_mode=pydicom.config.IGNORE).name)


def check_syntax(syntax: str, where: object) -> None:
    """Refuse a transfer syntax that no installed decoder knows, by its name (TRANSFER_SYNTAX)."""
    if syntax in NATIVE or syntax in BY_SIMPLEITK:
        return
    uid = UID(syntax, validation_mode=pydicom.config.IGNORE)
    plugin = BY_PLUGIN.get(uid)
    if plugin is None or plugin not in get_decoder(uid).available_plugins:
        raise UnsupportedSyntax(
            f"the transfer syntax {syntax_name(syntax)} cannot be decoded",
            where=where,
            do="convert the series to an uncompressed or lossless syntax first, such as with dcmtk or gdcmconv",
        )


def native_syntax(*, implicit: bool, little: bool) -> str:
    """The uncompressed syntax of a data set that is encoded in this way."""
    return str(ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian)


def stream_syntax(beginning: bytes, said: str) -> str:
    """The syntax a compressed frame is in, by its first bytes; the one its file says where both agree or it is unknown.

    Files are decompressed, compressed and copied by tools that forget to correct what the preface says.
    """
    names: tuple[str, ...] = ()
    if beginning.startswith(JPEG_START):
        names = _OF_PROCESS.get(jpeg_process(beginning) or 0, ())
    elif J2K_START in beginning:
        high = _CAPABILITIES in beginning[: beginning.find(J2K_START) + 200]
        names = (HTJ2K, *_HIGH_THROUGHPUT) if high else (JPEG2000, JPEG2000Lossless)
    elif _is_run_length(beginning):
        names = (RLELossless,)
    return said if not names or said in names else str(names[0])


def _is_run_length(beginning: bytes) -> bool:
    """Whether bytes begin with the header of run lengths: how many segments, and where each starts."""
    if len(beginning) < 64:
        return False
    count, first, *starts = struct.unpack("<16I", beginning[:64])
    return 1 <= count <= 15 and first == 64 and not any(starts[count - 1 :])
