"""From a command line to an exit code.

What can go wrong outside the program (a file, a number, the disk, Ctrl-C) ends in one line on standard error and
an exit code other than 0.  A traceback is a mistake of ours.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from .. import __version__
from ..kernels import get_num_threads
from . import bleu, embed, language, translate, vectors
from .arguments import Parser

PROGRAM = "tinygrad-rnn"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; None: those of the process.

    Returns
    -------
    int
        The exit code: 0, 1 for an error, 2 for a misuse, 130 after Ctrl-C.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")    # a terminal that lacks a character shows a question mark
    try:
        options = _parser().parse_args(argv)
        get_num_threads()           # a bad TINYGRAD_RNN_NUM_THREADS is said once, and now
        options.command(options)
        sys.stdout.flush()
    except SystemExit as exit:      # of argparse, after --help or a misuse
        return int(exit.code or 0)
    except KeyboardInterrupt as error:
        return _complain(str(error) or "interrupted", 130)
    except BrokenPipeError:
        # Python would try once more, at its exit, to write what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _complain("whoever was reading the output has gone")
    except OSError as error:
        reason = error.strerror or str(error)
        return _complain(f"{error.filename}: {reason}" if error.filename else reason)
    except MemoryError as error:
        return _complain(f"not enough memory: {error}")
    except (ValueError, ArithmeticError) as error:
        return _complain(str(error))
    return 0


def _parser() -> Parser:
    parser = Parser(prog=PROGRAM, epilog=f"Begin with: {PROGRAM} train --minutes 1", description="Recurrent networks "
                    "from scratch: language models, translation, word vectors.")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in (language, translate, bleu, embed, vectors):
        module.add_commands(commands)
    return parser


def _complain(message: str, code: int = 1) -> int:
    """One line on standard error."""
    print(f"{PROGRAM}: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return code
