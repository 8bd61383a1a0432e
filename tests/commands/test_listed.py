"""The list of commands, and the files that it names."""

import argparse

import pytest

from footpass_lib.commands.listed import COMMANDS, add_parsers


def parsers(named):
    commands = argparse.ArgumentParser().add_subparsers()
    add_parsers(commands, named)
    return commands.choices


def test_every_command_is_listed_and_comes_from_its_file():
    assert list(parsers(())) == list(COMMANDS)
    ready = parsers(COMMANDS)
    assert sorted(ready) == sorted(COMMANDS) and all(parser.get_default("run") for parser in ready.values())


@pytest.mark.parametrize("name", ["train", "infer"])
def test_commands_of_one_file_come_together(name):
    ready = parsers([name])
    assert list(ready) == list(COMMANDS)
    assert {other for other, parser in ready.items() if parser.get_default("run")} == {"train", "infer"}
