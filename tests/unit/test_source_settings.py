"""What a setting of a source may be: the values end up in other programs' hands."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import ConfigurationError
from shared.settings import load_settings

URL = "https://git.example.org/docs.git"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"source_git_url": "git@github.com:a/b.git"}, "SOURCE_GIT_URL: must be an https:// address"),
        ({"source_git_url": "ssh://git@h/x"}, "SOURCE_GIT_URL: must be an https:// address"),
        ({"source_git_url": "https://"}, "SOURCE_GIT_URL: must be an https:// address"),
        ({"source_git_url": "http://h/x"}, "SOURCE_ALLOW_PRIVATE=true"),
        ({"source_sitemap_url": "http://h/x"}, "SOURCE_SITEMAP_URL: must be an https:// address"),
        ({"source_git_url": "https://me:secret@h/x"}, "SOURCE_GIT_TOKEN is the place"),
        ({"source_git_url": "https://h/x?private_token=secret"}, "without a question mark"),
        ({"source_git_url": "https://h/a b"}, "without blanks"),
        ({"source_git_url": "https://h/ä"}, "ASCII"),
        ({"source_git_url": 'https://h/"x'}, "quotes"),
        ({"source_git_url": "https://h/" + "x" * 2000}, "2,000 characters"),
        ({"source_git_ref": "a" * 201}, "SOURCE_GIT_REF"),
        ({"source_git_folder": "/docs"}, "SOURCE_GIT_FOLDER: must be a folder of the repository"),
        ({"source_git_folder": "a/../../b"}, "without .."),
        ({"source_git_folder": "a\nb"}, "SOURCE_GIT_FOLDER"),
        ({"source_git_token": "two secret words"}, "SOURCE_GIT_TOKEN: must be one word"),
        ({"source_git_token": "secret\nheader"}, "SOURCE_GIT_TOKEN: must be one word"),
        ({"source_git_user": "a:b"}, "SOURCE_GIT_USER"),
        ({"source_ca_file": "/not/there"}, "SOURCE_CA_FILE: there is no such file"),
        ({"source_timeout": 541}, "SOURCE_TIMEOUT"),
        ({"webhook_secret": "secret"}, "WEBHOOK_SECRET: "),
        ({"source_git_url": URL, "source_sitemap_url": "https://h/s.xml"}, "there is one source"),
    ],
)
def test_a_value_that_cannot_work_is_named_and_not_shown(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load_settings(None, **given)
    assert said in refusal.value.message
    assert "\n" not in refusal.value.message
    assert "secret" not in refusal.value.message


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"source_git_url": "https://h:8443/a/b.git#x"}, "https://h:8443/a/b.git"),
        ({"source_git_url": "http://h/x", "source_allow_private": True}, "http://h/x"),
        ({"source_git_url": URL, "source_git_folder": "./website//docs/"}, "website/docs"),
        ({"source_git_url": URL, "source_git_folder": "."}, None),
        ({"source_sitemap_url": "https://h/sitemap.xml?v=1"}, "https://h/sitemap.xml?v=1"),
        ({"source_git_ref": "refs/heads/feature/a-b_c.d"}, "refs/heads/feature/a-b_c.d"),
    ],
)
def test_what_can_work_is_kept_in_one_spelling(given: dict[str, Any], kept: str | None) -> None:
    name = list(given)[-1] if "source_git_folder" in given else next(iter(given))
    assert getattr(load_settings(None, **given), name) == kept


def test_secrets_are_not_shown_with_the_settings() -> None:
    settings = load_settings(None, source_git_token="ghp_secret", webhook_secret="secret-of-the-webhook")
    assert "secret" not in repr(settings).replace("webhook_secret", "")
