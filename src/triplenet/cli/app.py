"""``triplenet``: the verbs, and the one place where an error becomes a line and an exit code.

Exit codes: 0 done; 1 refused or failed, one line ``error[CODE]: what, where, what to do``; 2 wrong usage;
3 a batch finished with some items refused.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

import triplenet
from triplenet.catalog import INTENDED_USE
from triplenet.cli import console
from triplenet.errors import REPORT, BadCohort, OutOfMemory, OutputFailed, TripleNetError, system_error

app = typer.Typer(
    name="triplenet",
    help=f"Classification and visual explanation of pneumonia on chest CT by triple learning. {INTENDED_USE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _register() -> None:
    from triplenet.cli import (
        benchmark,
        demo,
        evaluate,
        explain,
        export,
        import_,
        inspect,
        methods,
        paper,
        phantom,
        predict,
        prepare,
        train,
        verify,
    )

    app.command()(demo.demo)
    app.command()(methods.methods)
    app.command()(phantom.phantom)
    app.command("import")(import_.import_dataset)
    app.command()(inspect.inspect)
    app.command()(prepare.prepare)
    app.command()(train.train)
    app.command()(evaluate.evaluate)
    app.command()(benchmark.benchmark)
    app.command()(explain.explain)
    app.command()(predict.predict)
    app.command()(export.export)
    app.command()(verify.verify)
    app.command()(paper.paper)


def _version(value: bool) -> None:
    if value:
        print(f"triplenet {triplenet.__version__}")  # noqa: T201 - the answer
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options that stand before the verb."""


_register()


def main() -> None:
    """Run the command line; every failure leaves as one line and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # of names that are no text
    try:
        try:
            app(standalone_mode=True)
        finally:
            sys.stdout.flush()  # here, not while Python ends, where nobody could say that it failed
    except TripleNetError as error:
        fail(error)
    except KeyboardInterrupt:
        _say("error[INTERRUPTED]: stopped by the user")
        _leave()
    except BrokenPipeError:
        _leave()  # the reader of our output has gone, as with `| head`: nothing more to say to it
    except OSError as error:
        if _debugging():
            raise
        refused = system_error(error)
        if isinstance(refused, OutputFailed) and error.filename is None:  # whole_file would have said which file
            refused = OutputFailed(refused.what, where="standard output", do=refused.do)
        fail(refused)
    except MemoryError:
        fail(OutOfMemory("the machine's memory is full", do="close other programs, or use fewer jobs"))
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "triplenet" or _debugging():
            raise
        _say(
            f"error[MISSING_EXTRA]: the package {error.name} is not installed; "
            f"pip install 'triplenet[{_extra(error.name or '')}]'"
        )
        _leave()
    except Exception as error:
        # The last resort, so that nobody in a hospital reads a traceback; the developer asks for one.
        if _debugging():
            raise
        text = " ".join(str(error).split())
        _say(
            f"error[INTERNAL]: {type(error).__name__}: {text}; a fault of triplenet: "
            f"set TRIPLENET_DEBUG=1 for the traceback, and {REPORT}"
        )
        _leave()


def fail(error: TripleNetError) -> None:
    """Print the error as one line, and as JSON on standard output when that was asked for; leave with 1."""
    if "--json" in sys.argv[1:]:
        with suppress(OSError):
            console.print_json({"error": error.as_dict()})
    rank = os.environ.get("RANK", "0")  # of the processes that torchrun started, all print
    which = f" (process {rank})" if rank != "0" else ""
    _say(f"error[{error.code}]{which}: {error}")
    if isinstance(error, BadCohort) and len(error.faults) > 1:
        for fault in error.faults:
            _say(f"  {fault}")
    if _debugging():
        raise error
    _leave()


def _say(text: str) -> None:
    with suppress(OSError):  # standard error may be full or gone as well
        console.err.print(text, markup=False)


def _leave() -> NoReturn:
    """End with 1, without Python trying in vain to write what standard output did not take."""
    if not _flushed():
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)


def _flushed() -> bool:
    try:
        sys.stdout.flush()
    except OSError:
        return False
    return True


def _debugging() -> bool:
    return bool(os.environ.get("TRIPLENET_DEBUG"))


def _extra(module: str) -> str:
    by_module = {"onnx": "export", "onnxscript": "export", "onnxruntime": "export"}
    by_module |= {"tensorboard": "track", "mlflow": "track", "ray": "ray", "umap": "umap", "captum": "explain"}
    return by_module.get(module.split(".", maxsplit=1)[0], "train")


if __name__ == "__main__":
    main()
