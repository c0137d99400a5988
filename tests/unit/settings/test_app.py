from __future__ import annotations

import pathlib

import pytest

from k8s_ee import errors, redact, settings

KEY = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0LWxpbmU\nc2Vjb25kLWxpbmU\n-----END PRIVATE KEY-----"


def read(**given: str) -> settings.Settings:
    return settings.Settings.from_environ({f"K8S_EE_APP_{key}": value for key, value in given.items()})


def test_the_key_is_given_as_a_value_or_as_a_file(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(f"{KEY}\n")
    wanted = settings.App(id="12", key=KEY)
    assert read(ID="12", PRIVATE_KEY=KEY).app == wanted
    assert read(ID="12", PRIVATE_KEY_FILE=str(file)).app == wanted


def test_a_key_on_one_line_is_the_same_key() -> None:
    assert read(ID="Iv23liAbC", PRIVATE_KEY=KEY.replace("\n", "\\n")).app == settings.App(id="Iv23liAbC", key=KEY)


def test_without_either_there_is_no_app() -> None:
    assert read().app is None


@pytest.mark.parametrize("given", [{"ID": "12"}, {"PRIVATE_KEY": KEY}, {"ID": "12/../x", "PRIVATE_KEY": KEY}])
def test_half_an_app_is_an_error(given: dict[str, str]) -> None:
    with pytest.raises(errors.InputError) as caught:
        read(**given)
    assert "K8S_EE_APP_ID" in caught.value.hint
    assert "c2Vj" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match=r"missing\.pem: No such file"):
        read(ID="12", PRIVATE_KEY_FILE=str(tmp_path / "missing.pem"))


def test_the_key_is_not_shown() -> None:
    found = read(ID="12", PRIVATE_KEY=KEY)
    assert "c2Vj" not in repr(found)
    assert found.secrets == (KEY,)
    assert redact.Redactor(found.secrets).redact("a log says c2Vjb25kLWxpbmU") == "a log says ***"
