"""A key's text: what is one, what is not, and what may be shown of it."""

import os
import random
import re
import string
import subprocess

import pytest

from gateway.access import key_text

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
CASES = 1_000_000 if os.environ.get("LONG_TESTS") == "1" else 20_000
SEED = 11


def test_a_new_key_has_the_form_that_scanners_know():
    new = key_text.new()
    assert re.fullmatch(r"sgk_[0-9A-Za-z]{8}_[0-9A-Za-z]{36}", new.text)
    assert new.text[4:12] == new.id == key_text.id_of(new.text)


def test_the_checksum_is_the_crc_32_of_what_stands_before_it():
    # Of the 43 characters before it, by another program: printf %s ... | gzip -c | tail -c8 | head -c4
    body = "sgk_00000000_000000000000000000000000000000"
    packed = subprocess.run(["gzip", "-c"], input=body.encode(), capture_output=True, check=True).stdout
    number, digits = int.from_bytes(packed[-8:-4], "little"), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    assert key_text.id_of(body + digits) == "00000000"


def test_no_two_keys_are_alike():
    made = [key_text.new() for _ in range(1000)]
    assert len({new.id for new in made}) == len({new.text[13:43] for new in made}) == 1000


def test_every_letter_of_a_secret_takes_every_value():
    columns = zip(*(key_text.new().text[13:43] for _ in range(2000)), strict=True)
    assert all(set(column) == set(ALPHABET) for column in columns)


@pytest.mark.parametrize("number", range(3))
def test_no_change_of_one_character_leaves_a_key(number):
    text = key_text.new().text
    for place, right in enumerate(text):
        for letter in {*string.printable, "é", "٣", "\0", ""} - {right}:
            assert key_text.id_of(text[:place] + letter + text[place + 1 :]) is None


def test_no_random_or_mutated_text_is_a_key():
    """A random text of the right form has a chance of 1 in 62 to the sixth."""
    chance = random.Random(SEED)
    text = key_text.new().text
    for number in range(CASES):
        if number % 100 == 0:
            text = key_text.new().text
        forged = mutated(text, chance) if number % 2 else random_text(chance)
        assert forged == text or key_text.id_of(forged) is None, (SEED, number)


def random_text(chance: random.Random) -> str:
    letters = "".join(chance.choices(ALPHABET, k=44))
    return f"sgk_{letters[:8]}_{letters[8:]}"


def mutated(text: str, chance: random.Random) -> str:
    letters = list(text)
    one, other = sorted(chance.sample(range(len(letters)), 2))
    match chance.randrange(6):
        case 0:  # two letters change places
            letters[one], letters[other] = letters[other], letters[one]
        case 1:  # a part is left out
            del letters[one:other]
        case 2:  # a part comes twice
            letters[one:one] = letters[one:other]
        case 3:  # some letters are others
            for _ in range(chance.randint(1, 8)):
                letters[chance.randrange(len(letters))] = chance.choice(ALPHABET)
        case 4:  # a part has the other case
            letters[one:other] = "".join(letters[one:other]).swapcase()
        case 5:  # a part is turned round
            letters[one:other] = letters[one:other][::-1]
    return "".join(letters)


@pytest.mark.parametrize("text", ["", "sgk_", "sgk_00000000", "Bearer", "eyJhbGciOiJIUzI1NiJ9.e30.x", "\0" * 49, "sgk_" * 1000])
def test_other_texts_are_no_keys(text):
    assert key_text.id_of(text) is None


@pytest.mark.parametrize("around", [" {}", "{} ", "{}\n", "{}0", "0{}", "{0}{0}"])
def test_nothing_may_stand_around_a_key(around):
    assert key_text.id_of(around.format(key_text.new().text)) is None


def test_the_hash_is_what_sha256sum_prints():
    new = key_text.new()
    printed = subprocess.run(["sha256sum"], input=new.text.encode(), capture_output=True, check=True).stdout.split()[0]
    assert new.sha256 == key_text.sha256_of(new.text) == printed.decode()


@pytest.mark.parametrize("length", range(13, 50))
def test_of_a_key_or_its_beginning_only_the_id_is_shown(length):
    new = key_text.new()
    hidden = key_text.hide_secrets(f"a {new.text[:length]}, b")
    assert hidden == f"a sgk_{new.id}..., b"
    assert key_text.hide_secrets(hidden) == hidden


@pytest.mark.parametrize("escaped", [0, 3, 12, 15, 40])
def test_of_a_key_in_a_path_only_the_id_is_shown_however_it_is_written(escaped):
    text = key_text.new().text
    path = f"/v1/%41/{text[:escaped]}%{ord(text[escaped]):02x}{text[escaped + 1 :]}"
    assert key_text.hide_in_path(path) == f"/v1/A/{text[:12]}..."
    assert key_text.hide_in_path(f"/{text}") == f"/{text[:12]}..."


def test_a_path_without_a_key_is_shown_as_it_was_sent():
    assert key_text.hide_in_path("/v1/%41%73gk%2f") == "/v1/%41%73gk%2f"


def test_text_without_a_key_is_shown_as_it_is():
    assert key_text.hide_secrets("digits-sgk v1") == "digits-sgk v1"


def test_a_new_key_shows_no_secret():
    new = key_text.new()
    assert new.text[13:] not in repr(new)
    assert new.text[13:] not in str([new])
