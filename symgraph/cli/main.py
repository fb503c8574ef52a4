"""`symgraph`: the arguments of every command, and what its exit status says.

Parsing loads neither NumPy nor LLVM; the module of the chosen command is imported when it runs.

    0    done
    1    an error of the program that was looked at, or a problem that the command was to find
    2    wrong arguments, or a subject that cannot be found or shown
    130  interrupted
    141  whoever read the output went away
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from symgraph.cli.console import paint
from symgraph.cli.problems import SubjectError
from symgraph.errors import GraphFileError, SymgraphError
from symgraph.provenance import capture

STAGES = ("graph", "optimized", "program", "loops", "scheduled", "llvm", "asm")
DEVICE_STAGES = ("ptx", "sass")  # of --target cuda
FORMATS = ("text", "tree", "json", "dot", "svg", "html", "python")

_SUBJECT = (
    "file.py:name or module:name, where the name is an expression, a list, tuple or dict of them, "
    "or a compiled function; or a file written by sg.save"
)
_EPILOG = """\
examples:
  symgraph dump examples/digits_mlp.py:loss --stage optimized --format tree
  symgraph dump examples/digits_mlp.py:loss --stage scheduled
  symgraph dump examples/digits_mlp.py:loss --stage optimized -o loss.html
  symgraph view examples/digits_mlp.py:step -o step.html
  symgraph explain SG101
  symgraph explain examples/digits_mlp.py:loss --node 3
  symgraph profile examples/digits_mlp.py --html profile.html

exit status: 0 done, 1 a problem was found, 2 wrong arguments or subject,
130 interrupted, 141 whoever read the output went away; of a profiled script
its own
"""


def parser() -> argparse.ArgumentParser:
    """All commands and their arguments."""
    top = argparse.ArgumentParser(
        prog="symgraph",
        description="Look inside symbolic graphs and what is compiled from them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="store_true", help="show the version and exit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")  # help.txt shows them
    _add_dump(commands)
    _add_profile(commands)
    _add_view(commands)
    _add_cache(commands)
    one = _command(
        commands, "explain", "the page of an error code; the story of a node; words of Theano"
    )
    one.add_argument(
        "code", nargs="?", metavar="CODE|SUBJECT",
        help="as SG101, without it all are listed; or, for the story of a node, " + _SUBJECT,
    )  # fmt: skip
    one.add_argument(
        "--node", metavar="N", help="of SUBJECT: its number or name in symgraph dump; or all"
    )
    one.add_argument(
        "--stage", choices=STAGES[:2], default="graph", help="which graph --node counts in"
    )
    one.add_argument(
        "--port", metavar="FILE", help="what to write for the names of a Theano or PyTensor script"
    )
    one.add_argument("--rules", action="store_true", help="the rewrite rules, those with CODE")
    one = _command(commands, "ops", "the operations of the tensor graph")
    one.add_argument("pattern", nargs="?", metavar="WORD", help="only those whose name contains it")
    one = _command(commands, "completion", "completion for a shell; see docs/command-line.md")
    one.add_argument("shell", choices=("bash", "zsh", "fish"))
    one = _command(commands, "doctor", "check this installation, and the mend of what is wrong")
    one.add_argument("--bundle", metavar="FILE", help="write all findings there, without names")
    one.add_argument("--quick", action="store_true", help="without self-tests and speed")
    one = _command(commands, "tune", "measure which tiles make matrix products fastest here")
    one.add_argument("--forget", action="store_true", help="use the table's tiles again")
    return top


def _command(
    commands: argparse._SubParsersAction, name: str, what: str, *aliases: str
) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name, help=what, description=what + ".", aliases=aliases
    )
    made.add_argument("--json", action="store_true", help="one JSON object instead of text")
    return made


def _add_dump(commands: argparse._SubParsersAction) -> None:
    what = "a program at one of its stages, from graph to machine code"
    one = commands.add_parser("dump", help=what, description=what + ".")
    one.add_argument("subject", nargs="?", metavar="SUBJECT", help=_SUBJECT)
    one.add_argument(
        "--stage", choices=(*STAGES, *DEVICE_STAGES), default="graph", metavar="STAGE",
        help=f"one of {', '.join((*STAGES, *DEVICE_STAGES))}; default: graph",
    )  # fmt: skip
    one.add_argument(
        "--target", metavar="TARGET", default="cpu",
        help="cpu, or cuda:sm_90 and the like, which need no GPU; default: cpu",
    )  # fmt: skip
    one.add_argument(
        "--format", choices=FORMATS, help="default: by the suffix of FILE, else text"
    )  # fmt: skip
    one.add_argument("-o", "--output", metavar="FILE", help="write there instead of printing")
    one.add_argument("--origins", action="store_true", help="text: show the user's lines")
    one.add_argument(
        "--diff", nargs=2, metavar=("A", "B"), help="what differs between two subjects; status 1"
    )
    one.add_argument(
        "--after", metavar="RULE", help="the graph when a rule or pass of this name had fired last"
    )
    one.add_argument("--only", metavar="REGEX", help="text: only nodes or kernels that match")
    one.add_argument(
        "--redact", action="store_true", help="without your names, files and values of arrays"
    )
    one.add_argument(
        "--json", action="store_const", const="json", dest="format", help="= --format json"
    )


def _add_profile(commands: argparse._SubParsersAction) -> None:
    what = "where the time of compiled functions goes, by kernel, operation and line"
    one = _command(commands, "profile", what)
    one.add_argument("--by", choices=("kernel", "op", "line"), default="kernel", help="the rows")
    one.add_argument("--html", metavar="FILE", help="write a page with flame graph and roofline")
    one.add_argument("--trace", metavar="FILE", help="write a trace for Perfetto or Chrome")
    one.add_argument("--compare", metavar="FILE", help="with a profile that --json wrote")
    one.add_argument(
        "--size", metavar="NAME=N", action="append", default=[], help="of SUBJECT: a size's value"
    )
    one.add_argument(
        "--seconds", metavar="S", type=float, default=1.0, help="of SUBJECT: how long (default 1)"
    )
    words = "script.py, which is run with its arguments; or " + _SUBJECT
    one.add_argument("target", metavar="SCRIPT|SUBJECT", help=words)
    one.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="of SCRIPT")


def _add_view(commands: argparse._SubParsersAction) -> None:
    one = _command(
        commands, "view", "one offline page: source, rewrites, kernels, code and memory, linked"
    )
    one.add_argument("subject", metavar="SUBJECT", help=_SUBJECT)
    one.add_argument("-o", "--output", metavar="FILE", help="default: the subject's name, .html")
    one.add_argument("--until", choices=(*STAGES, "ptx"), metavar="STAGE",
                     help="last stage; default: all")  # fmt: skip
    one.add_argument(
        "--target", metavar="TARGET", default="cpu",
        help="cpu, or cuda:sm_90 and the like, which need no GPU; default: cpu",
    )  # fmt: skip
    one.add_argument(
        "--size", metavar="NAME=N", action="append", help="a size in the memory plan; default: 64"
    )
    one.add_argument("--profile", metavar="FILE", help="of symgraph profile --json: times as heat")
    one.add_argument("--open", action="store_true", help="show the page in a browser")


def _add_cache(commands: argparse._SubParsersAction) -> None:
    what = "the disk cache of compiled functions"
    cache = commands.add_parser("cache", help=what, description=what + ".")
    verbs = cache.add_subparsers(dest="verb", metavar="VERB", required=True)
    _command(verbs, "dir", "where it is", "where")
    _command(verbs, "ls", "its entries, the most recently used first", "list")
    _command(verbs, "stats", "how much it holds", "size")
    _command(verbs, "verify", "check every entry and remove the damaged ones")
    _command(verbs, "prune", "remove the least recently used entries above the size cap")
    _command(verbs, "clear", "remove all entries")
    why = _command(verbs, "why", "the ingredient of the key in which two entries differ")
    why.add_argument(
        "first", metavar="ENTRY", help=f"the beginning of an entry's digest; or {_SUBJECT}"
    )
    why.add_argument("second", nargs="?", metavar="ENTRY", help="default: the most similar entry")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    top = parser()
    arguments = top.parse_args(argv)
    launcher = capture()
    try:
        status = _run(top, arguments)
        sys.stdout.flush()
        return status
    except SymgraphError as error:
        if error.origin == launcher:  # no line of the user's, but the one that called us
            error.origin = None
        return _complain(error, 2 if isinstance(error, SubjectError | GraphFileError) else 1)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            # Python flushes the standard output once more when it ends; let that go nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        sys.stderr.write(f"symgraph: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _run(top: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    if arguments.version:
        print(f"symgraph {importlib.import_module('symgraph').__version__}")
        return 0
    if arguments.command is None:
        top.print_help()
        return 2
    command = importlib.import_module(f"symgraph.cli.{arguments.command}")
    status: int = command.run(arguments)
    return status


def _complain(error: SymgraphError, status: int) -> int:
    head, _, rest = error.report().partition(": ")
    stream = sys.stderr
    text = f"{paint(head, '1;31', stream)}: {rest}\n"
    encoding = stream.encoding or "utf-8"
    sys.stdout.flush()
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    return status
