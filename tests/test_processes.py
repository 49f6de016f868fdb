"""What other processes are told of this one's settings."""

import os

from hemiface.processes import TOKEN_VARIABLE, own_variables


def test_settings_are_told_and_secrets_kept(monkeypatch):
    for name in [one for one in os.environ if one.startswith("HEMIFACE_")]:
        monkeypatch.delenv(name)
    assert own_variables() == {}
    monkeypatch.setenv("HEMIFACE_MAX_PIXELS", "1000")
    monkeypatch.setenv("HOME_OF_HEMIFACE_", "elsewhere")
    monkeypatch.setenv(TOKEN_VARIABLE, "a secret")
    assert own_variables() == {"HEMIFACE_MAX_PIXELS": "1000"}
