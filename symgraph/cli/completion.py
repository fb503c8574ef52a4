"""`symgraph completion bash|zsh|fish`: completion of commands, options and files for a shell.

    bash    eval "$(symgraph completion bash)"           in ~/.bashrc
    zsh     eval "$(symgraph completion zsh)"            in ~/.zshrc, after compinit
    fish    symgraph completion fish | source            in ~/.config/fish/config.fish

The scripts are written from the parser of the command line, so they always know what it knows.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from symgraph.cli.console import write, write_json
from symgraph.cli.main import parser
from symgraph.records import NamedTuple


class Option(NamedTuple):
    """An option: what it takes ("" nothing), the words to choose from, and its help."""

    names: tuple[str, ...]
    takes: str
    choices: tuple[str, ...]
    help: str


class Level(NamedTuple):
    """What may follow some words: commands with their help, options, words for the next place."""

    words: tuple[str, ...]
    commands: dict[str, str]
    options: tuple[Option, ...]
    choices: tuple[str, ...]


def run(arguments: argparse.Namespace) -> int:
    """Print the script, or as JSON what it knows."""
    levels = list(_levels(parser(), ()))
    if arguments.json:
        rows = [{**v._asdict(), "options": [o._asdict() for o in v.options]} for v in levels]
        write_json("completion", {"shell": arguments.shell, "levels": rows})
    else:
        write({"bash": _bash, "zsh": _zsh, "fish": _fish}[arguments.shell](levels))
    return 0


def _levels(one: argparse.ArgumentParser, words: tuple[str, ...]) -> Iterator[Level]:
    options: list[Option] = []
    commands: dict[str, str] = {}
    inner: dict[str, argparse.ArgumentParser] = {}
    choices: tuple[str, ...] = ()
    for action in one._actions:
        if isinstance(action, argparse._SubParsersAction):
            inner = dict(action.choices)
            commands = {a.dest: a.help or "" for a in action._choices_actions}
        elif action.option_strings:
            takes = "" if action.nargs == 0 else str(action.metavar or "WORD")
            found = tuple(map(str, action.choices or ()))
            text = "" if action.help in (None, argparse.SUPPRESS) else str(action.help)
            options.append(Option(tuple(action.option_strings), takes, found, text))
        elif action.choices:
            choices = tuple(map(str, action.choices))
    yield Level(words, commands, tuple(options), choices)
    for name, below in inner.items():
        yield from _levels(below, (*words, name))


def _words(level: Level) -> str:
    names = [n for o in level.options for n in o.names]
    return " ".join([*level.commands, *level.choices, *names])


def _bash(levels: list[Level]) -> str:
    cases = "\n".join(f'    "{" ".join(v.words)}") words="{_words(v)}" ;;' for v in levels)
    after = "\n".join(
        f'    "{" ".join(v.words)} {n}") words="{" ".join(o.choices)}" ;;'
        for v in levels for o in v.options if o.takes for n in o.names
    )  # fmt: skip
    return f"""\
_symgraph() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}"
  local at="" word words=""
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "${{at:+$at }}$word" in
    {_known(levels)}) at="${{at:+$at }}$word" ;;
    esac
  done
  case "$at $before" in
{after}
    *)
    case "$at" in
{cases}
    esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ ${{#COMPREPLY[@]}} -eq 0 ]; then compopt -o default 2>/dev/null; fi
}}
complete -F _symgraph symgraph"""


def _known(levels: list[Level]) -> str:
    """A pattern of the words that lead to a level."""
    return "|".join(f'"{" ".join(v.words)}"' for v in levels if v.words)


def _zsh(levels: list[Level]) -> str:
    after, cases = [], []
    for v in levels:
        at = " ".join(v.words)
        for o in (o for o in v.options if o.takes):
            names = "|".join(f'"{at} {n}"' for n in o.names)
            what = f"compadd -- {' '.join(o.choices)}" if o.choices else "_files"
            after.append(f"    ({names}) {what}; return ;;")
        rows = {
            "commands": v.commands.items(),
            "options": [(n, o.help) for o in v.options for n in o.names],
        }
        parts = [f"{k}=({' '.join(_zsh_text(f'{n}:{t}') for n, t in r)})" for k, r in rows.items()]
        parts.append(f"choices=({' '.join(v.choices)})")
        cases.append(f'    ("{at}") {"; ".join(parts)} ;;')
    return f"""\
_symgraph() {{
  local at="" word
  local -a commands options choices
  for word in "${{(@)words[2,CURRENT-1]}}"; do
    case "${{at:+$at }}$word" in
    ({_known(levels)}) at="${{at:+$at }}$word" ;;
    esac
  done
  case "$at ${{words[CURRENT-1]}}" in
{chr(10).join(after)}
  esac
  case "$at" in
{chr(10).join(cases)}
  esac
  if [[ "$PREFIX" == -* ]]; then
    _describe -o option options
  elif (( $#commands )); then
    _describe command commands
  elif (( $#choices )); then
    compadd -- $choices
  else
    _files
  fi
}}
compdef _symgraph symgraph"""


def _zsh_text(text: str) -> str:
    return "'" + " ".join(text.split())[:90].replace("'", "'\\''") + "'"


def _fish(levels: list[Level]) -> str:
    lines = ["complete -c symgraph -e"]
    for v in levels:
        seen = [f"__fish_seen_subcommand_from {w}" for w in v.words]
        if v.commands:
            below = " ".join(v.commands)
            seen.append(f"not __fish_seen_subcommand_from {below}")
        where = f"-n '{'; and '.join(seen)}' " if seen else ""
        for name, text in v.commands.items():
            lines.append(f"complete -c symgraph -f {where}-a {name} -d {_fish_text(text)}")
        if v.choices:
            lines.append(f"complete -c symgraph -f {where}-a '{' '.join(v.choices)}'")
        for o in v.options:
            names = " ".join(f"-l {n[2:]}" if n[:2] == "--" else f"-s {n[1:]}" for n in o.names)
            takes = f" -x -a '{' '.join(o.choices)}'" if o.choices else " -r" if o.takes else ""
            line = f"complete -c symgraph {where}{names}{takes} -d {_fish_text(o.help)}"
            lines.append(line)
    return "\n".join(lines)


def _fish_text(text: str) -> str:
    short = " ".join(text.split())[:60].replace("\\", "\\\\").replace("'", "\\'")
    return f"'{short}'"
