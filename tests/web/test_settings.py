"""A setting is either understood or stops the start."""

import copy
import dataclasses
import json
import pprint
import traceback

import pytest

from brain_cnn.errors import SettingsError
from brain_cnn.web.settings import Settings


def test_defaults_hold_without_environment():
    assert Settings.from_env({}) == Settings()


def test_values_are_read():
    settings = Settings.from_env({"BRAIN_CNN_THREADS": "7", "BRAIN_CNN_COVERAGE": "0.9"})
    assert (settings.threads, settings.coverage) == (7, 0.9)


def test_misspelt_name_stops_with_the_right_ones():
    with pytest.raises(SettingsError, match=r"BRAIN_CNN_THREAD\..*BRAIN_CNN_THREADS"):
        Settings.from_env({"BRAIN_CNN_THREAD": "7"})


def test_names_of_training_and_tests_are_passed_over():
    assert Settings.from_env({"BRAIN_CNN_DATA": "x", "BRAIN_CNN_CACHE": "y"}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BRAIN_CNN_THREADS", "many"),
        ("BRAIN_CNN_THREADS", "-1"),
        ("BRAIN_CNN_ENGINE", "torch"),
        ("BRAIN_CNN_COVERAGE", "1.5"),
        ("BRAIN_CNN_MAX_FILE_MIB", "9999"),
        ("BRAIN_CNN_WORKERS", "-1"),
    ],
)
def test_value_out_of_range_is_named(name, value):
    with pytest.raises(SettingsError, match=f"{name} is .*{value}"):
        Settings.from_env({name: value})


def test_every_setting_is_printed_and_documented():
    line = Settings().describe()
    for name in Settings.__dataclass_fields__:
        assert f"{name}=" in line
        assert f"{name}:" in Settings.__doc__


TOKEN = "kept-to-ourselves"

SHOWN = {
    "repr": repr,
    "str": str,
    "format": lambda settings: f"{settings} {settings.api_token} {settings.api_token!r:>40}",
    "percent": lambda settings: "%s %r" % (settings.api_token, settings.api_token),  # noqa: UP031
    "describe": Settings.describe,
    "vars": lambda settings: str(vars(settings)),
    "asdict": lambda settings: str(dataclasses.asdict(settings)),
    "replace": lambda settings: repr(dataclasses.replace(settings, threads=3)),
    "copy": lambda settings: repr(copy.deepcopy(settings)),
    "pprint": pprint.pformat,
    "json": lambda settings: json.dumps(dataclasses.asdict(settings), default=str),
}


@pytest.mark.parametrize("way", SHOWN)
def test_no_way_to_show_settings_shows_the_token(way):
    settings = Settings.from_env({"BRAIN_CNN_API_TOKEN": TOKEN})
    assert settings.token == TOKEN
    assert TOKEN not in SHOWN[way](settings)
    assert TOKEN not in SHOWN[way](Settings(api_token=TOKEN))


@pytest.mark.parametrize(
    "wrong", [{"BRAIN_CNN_API_TOKEN_FILE": "x"}, {"BRAIN_CNN_THREADS": "many"}, {"BRAIN_CNN_X": ""}]
)
def test_no_error_about_settings_shows_the_token(wrong):
    with pytest.raises(SettingsError) as error:
        Settings.from_env({"BRAIN_CNN_API_TOKEN": TOKEN} | wrong)
    trace = traceback.TracebackException.from_exception(error.value, capture_locals=False)
    assert TOKEN not in str(error.value) + "".join(trace.format())


def test_settings_with_the_same_token_are_the_same():
    assert Settings(api_token=TOKEN) == Settings.from_env({"BRAIN_CNN_API_TOKEN": TOKEN})
    assert Settings(api_token=TOKEN) != Settings(api_token="another")
    assert len({Settings(api_token=TOKEN), Settings(api_token=TOKEN)}) == 1
