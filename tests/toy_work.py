"""Work that ends in every way that work can end."""

import ctypes
import os
import signal
import sys
import time

from triplenet.errors import NotHu


def work(item):
    match item:
        case "crash":
            ctypes.string_at(0)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(60)
        case "hang in a decoder":
            ctypes.PyDLL(None).sleep(60)  # without giving Python's lock away
        case "unforeseen":
            raise KeyError("no such\nthing")
        case "end of file":
            raise EOFError("in the middle")
        case "refused":
            raise NotHu("grey levels", where="a.nii")
        case "leave":
            sys.exit(3)
    return item, os.getpid()
