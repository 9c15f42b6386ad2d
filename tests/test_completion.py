"""Shell scripts that complete the words of `roots`."""

import shutil
import subprocess

import pytest

from roots_tf import commands, completion, program


@pytest.fixture(scope="module")
def bash(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "roots.bash"
    path.write_text(completion.script("bash", commands.programs(), commands.load))
    return path


def completed(bash, folder, *words: str) -> list[str]:
    """What bash offers for the last of the words, which it has parted at "="."""
    listed = " ".join(f"'{word}'" for word in ("roots", *words))
    code = (
        f"source {bash}; COMP_WORDS=({listed}); COMP_CWORD={len(words)}; _roots;"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    run = subprocess.run(["bash", "-c", code], capture_output=True, text=True, cwd=folder)
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["pret"], ["pretrain"]),
        (["ver"], ["version"]),
        (["pretrain", "--learn"], ["--learning_rate="]),
        (["pretrain", "--size", "=", "ti"], ["tiny"]),
        (
            ["pretrain", "--objective", "="],
            [
                "masked_lm",
                "causal_lm",
                "masked_and_causal",
                "replaced_tokens",
                "denoising",
                "contrastive",
            ],
        ),
        (["pretrain", "--seed", "=", "a"], [""]),  # of a number no shell knows anything
        (["pretrain", "--examples", "=", "a b"], ["a b.txt"]),
        (["pretrain", "--flagfile", "=", "a b"], ["a b.txt"]),
        (["embed", "--nol2"], ["--nol2_normalize"]),
        (["predict", "--json_"], ["--json_logs"]),
        (["help", "fin"], ["finetune"]),
        (["completion", "f"], ["fish"]),
        (["predict", "--size", "=", "tiny"], [""]),  # not of this program
    ],
)
def test_bash(bash, tmp_path, words, found):
    (tmp_path / "a b.txt").touch()
    assert completed(bash, tmp_path, *words) == found


def test_every_flag_stands_in_every_script():
    programs = {"predict": "Answers.", "import": "Takes what's there: in."}
    for shell in ("bash", "zsh", "fish"):
        script = completion.script(shell, programs, commands.load)
        for module in map(commands.load, programs):
            for word in completion.words_of(module):
                flag = word.flag.removeprefix("--") if shell == "fish" else word.flag
                assert flag in script
        if shutil.which(shell):
            subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_text_of_fish_is_quoted():
    assert completion._fish_text(r"what's \ there") == r"'what\'s \\ there'"


def test_an_unknown_shell():
    with pytest.raises(program.FlagError, match="did you mean zsh"):
        completion.script("zhs", {}, commands.load)
