"""`roots completion SHELL`: scripts that complete programs, flags, their values and names of files.

All words stand in the script, so that a key press starts no Python. One that is kept in a file is
as old as the version that printed it.
"""

import shlex
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import NamedTuple

from roots_tf import program, spelling

FURTHER = ("help", "version", "completion")  # what `roots` knows beside programs


class UnknownShellError(ValueError):
    """There is no script for this shell."""

    exit_status = 2


class Word(NamedTuple):
    """A flag as a shell sees it.

    Attributes:
        flag: its name, with the hyphens.
        values: what it may be; none of what no shell can know.
        is_path: whether it names files or folders.
        takes_value: whether something follows.
        help: what it is for, the first words of it.
    """

    flag: str
    values: tuple[str, ...]
    is_path: bool
    takes_value: bool
    help: str


def script(shell: str, programs: Mapping[str, str], load: Callable[[str], ModuleType]) -> str:
    """The script of a shell.

    Args:
        shell: "bash", "zsh" or "fish".
        programs: names of programs and their first lines.
        load: gives the module of a program.

    Raises:
        UnknownShellError: it is none of them.
    """
    if shell not in _SCRIPTS:
        meant = spelling.suggestion(shell, _SCRIPTS)
        raise UnknownShellError(
            f"found the shell {shell!r}; wanted one of {', '.join(_SCRIPTS)}{meant}"
        )
    words = {name.replace("_", "-"): words_of(load(name)) for name in programs}
    lines = {name.replace("_", "-"): line for name, line in programs.items()}
    return _SCRIPTS[shell](words, lines)


def words_of(module: ModuleType) -> list[Word]:
    """The flags of a program, those of every program among them."""
    found = []
    for name, about in (program.flags_of(module.Config) | program.MESSAGES).items():
        is_path = about.role in ("input", "output_file", "output_folder", "output_new")
        line = about.help.partition(";")[0].partition(":")[0]
        found.append(Word(f"--{name}", about.choices, is_path, about.hint is not bool, line))
        if about.hint is bool:
            found.append(Word(f"--no{name}", (), False, False, f"not: {line}"))
    found.append(Word("--flagfile", (), True, True, "a file of flags"))
    return [*found, Word("--help", (), False, False, "what the program does, and its flags")]


def _bash(words: dict[str, list[Word]], lines: dict[str, str]) -> str:
    flags = "\n".join(
        f"        {name}) words={shlex.quote(' '.join(_with_sign(word) for word in each))} ;;"
        for name, each in words.items()
    )
    return _BASH.format(
        programs=" ".join([*words, *FURTHER]),
        topics=" ".join(words),
        flags=flags,
        values="\n".join(f"            {line} ;;" for line in _cases(words, "values={}")),
    )


def _zsh(words: dict[str, list[Word]], lines: dict[str, str]) -> str:
    flags = "\n".join(
        f"        {name}) flags=({' '.join(shlex.quote(_with_sign(word)) for word in each)}) ;;"
        for name, each in words.items()
    )
    described = (f"{name}:{line.replace(':', ' ')}" for name, line in lines.items())
    return _ZSH.format(
        programs=" ".join(map(shlex.quote, [*described, *FURTHER])),
        topics=" ".join(words),
        flags=flags,
        values="\n".join(f"            {line} ;;" for line in _cases(words, "values=({})", False)),
    )


def _cases(words: dict[str, list[Word]], form: str, quoted: bool = True) -> list[str]:
    """Lines of a `case` of program and flag: the values of flags that have some."""
    cases: dict[str, list[str]] = {}
    for name, each in words.items():
        for word in each:
            if word.values:
                cases.setdefault(" ".join(word.values), []).append(f"{name}{word.flag}")
            elif word.takes_value and not word.is_path:
                cases.setdefault("", []).append(f"{name}{word.flag}")
    return [
        f"{'|'.join(names)}) {form.format(shlex.quote(values) if quoted else values)}"
        for values, names in cases.items()
    ]


def _fish(words: dict[str, list[Word]], lines: dict[str, str]) -> str:
    start = "complete -c roots"
    out = ["# Completes the words of `roots` in fish.", f"{start} -f"]
    for name, line in (lines | dict.fromkeys(FURTHER, "")).items():
        out.append(f"{start} -n __fish_use_subcommand -a {name} -d {_fish_text(line)}")
    out.append(f"{start} -n '__fish_seen_subcommand_from help' -a {_fish_text(' '.join(words))}")
    out.append(f"{start} -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'")
    for name, each in words.items():
        for word in each:
            after = f"-l {word.flag.removeprefix('--')} -d {_fish_text(word.help)}"
            if word.values:
                after += f" -x -a {_fish_text(' '.join(word.values))}"
            elif word.takes_value:
                after += " -r -F" if word.is_path else " -x"
            # The first word alone: `roots help pretrain` is about a program and runs none.
            out.append(f"{start} -n 'contains {name} (commandline -opc)[2]' {after}")
    return "\n".join([*out, ""])


def _fish_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _with_sign(word: Word) -> str:
    return f"{word.flag}=" if word.takes_value else word.flag


# bash parts words at "=", so that `--size=ti` comes as three.
_BASH = """\
# Completes the words of `roots` in bash.
_roots() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} flag= words= values=
    COMPREPLY=()
    if (( COMP_CWORD == 1 )); then
        COMPREPLY=($(compgen -W '{programs}' -- "$word"))
        return
    fi
    if [[ $word == = ]]; then
        flag=$before word=
    elif [[ $before == = ]]; then
        flag=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    if [[ $flag ]]; then
        case ${{COMP_WORDS[1]}}$flag in
{values}
            *) compopt -o filenames 2>/dev/null
               local IFS=$'\\n'
               COMPREPLY=($(compgen -f -- "$word"))
               return ;;
        esac
        COMPREPLY=($(compgen -W "$values" -- "$word"))
        return
    fi
    case ${{COMP_WORDS[1]}} in
        help) words='{topics}' ;;
        completion) words='bash zsh fish' ;;
{flags}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    if [[ ${{#COMPREPLY[@]}} == 1 && ${{COMPREPLY[0]}} == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
}}
complete -F _roots roots
"""

_ZSH = """\
#compdef roots
# Completes the words of `roots` in zsh.
_roots() {{
    local -a programs values
    local flag
    if (( CURRENT == 2 )); then
        programs=({programs})
        _describe program programs
        return
    fi
    local program=$words[2]
    local -a flags
    if [[ $PREFIX == --*=* ]]; then
        flag=${{PREFIX%%=*}}
        compset -P '*='
        case $program$flag in
{values}
            *) _files; return ;;
        esac
        compadd -a values
        return
    fi
    case $program in
        help) flags=({topics}) ;;
        completion) flags=(bash zsh fish) ;;
{flags}
    esac
    compadd -S '' -- ${{(M)flags:#*=}}
    compadd -- ${{flags:#*=}}
}}
# Read as a file of $fpath it is itself the function; else it is to be told what it completes.
if [[ $funcstack[1] == _roots ]]; then
    _roots "$@"
else
    compdef _roots roots
fi
"""

_SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
