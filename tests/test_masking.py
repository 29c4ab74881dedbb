"""
Secrets leave nothing behind.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any
from unittest.mock import patch
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core import masking
from yallmp.core.masking import MaskedStream, Masker, Piece, Words
from yallmp.core.needles import Needles
from yallmp.core.secretnames import header_by_name, is_secret_name, query_by_name, url_by_name

KEY = "sk-proj-A1b2C3d4E5f6G7h8"
ODD = 'pä ss/w+rd"\\<&>%=é'
SECRETS = st.text(st.characters(exclude_categories=["Cs"]), min_size=12, max_size=40)
#: Few letters, so that beginnings of secrets are everywhere.
LETTERS = st.sampled_from([b"a", b"b", b"\n"])
TEXTS = st.lists(LETTERS, max_size=60).map(b"".join)
FEW = st.integers(5, 9)
AB_SECRETS = st.lists(st.text("ab", min_size=12, max_size=20), max_size=3)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """*data* as the reads that end at *places*."""
    ends = sorted({min(place, len(data)) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def streamed(masker: Masker, reads: list[bytes]) -> list[Piece]:
    """What becomes of the reads of a whole stream."""
    stream = MaskedStream(masker)
    return [piece for read in reads for piece in stream.feed(read)] + stream.flush()


class NameTests(SynchronousTestCase):
    """Which names speak of secrets."""

    def test_secret_names(self) -> None:
        """Any word of the name counts, in every spelling."""
        for name in (
            "authorization", "Proxy-Authorization", "x-api-key", "api-key", "Cookie", "set-cookie",
            "x-auth-token", "client_secret", "key", "accessToken", "apiKey", "X-Goog-Api-Key",
            "db-password", "sig", "X-Amz-Signature", "access.token", "apikey",
        ):  # fmt: skip
            self.assertTrue(is_secret_name(name), name)

    def test_innocent_names(self) -> None:
        """Limits, counts and words that only look alike are not hidden."""
        for name in (
            "x-ratelimit-remaining-tokens", "anthropic-ratelimit-key", "max_tokens", "max-tokens",
            "idempotency-key", "content-type", "author", "monkey", "keyboard", "www-authenticate",
        ):  # fmt: skip
            self.assertFalse(is_secret_name(name), name)


class HeaderTests(SynchronousTestCase):
    """What is left of a secret header."""

    def test_a_bearer_token_shows_three_characters(self) -> None:
        """Enough to tell one provider's key from another's."""
        self.assertEqual(
            header_by_name(b"Authorization", b"Bearer " + KEY.encode()), b"Bearer sk-****"
        )
        self.assertEqual(header_by_name(b"x-api-key", KEY.encode()), b"sk-****")

    def test_a_short_token_is_hidden_whole(self) -> None:
        """Three characters of a short secret would be too much of it."""
        self.assertEqual(header_by_name(b"authorization", b"Bearer sk-123"), b"Bearer ****")
        self.assertEqual(header_by_name(b"x-api-key", b"a"), b"****")

    def test_credentials_without_a_prefix_are_hidden_whole(self) -> None:
        """Basic credentials, cookies and passwords show nothing but their scheme."""
        self.assertEqual(header_by_name(b"authorization", b"Basic " + b"Q" * 40), b"Basic ****")
        self.assertEqual(header_by_name(b"cookie", b"session" + b"a" * 40), b"****")
        self.assertEqual(header_by_name(b"x-password", b"p" * 40), b"****")
        self.assertEqual(header_by_name(b"authorization", b"my secret " + b"x" * 40), b"****")

    def test_other_headers_stay(self) -> None:
        """A header of another name, or an empty one, is as it was."""
        self.assertEqual(header_by_name(b"accept", b"x" * 30), b"x" * 30)
        self.assertEqual(header_by_name(b"authorization", b""), b"")

    @given(st.text("abc-", min_size=17, max_size=80), st.text("abc-", min_size=17, max_size=80))
    def test_length_is_not_told(self, one: str, other: str) -> None:
        """Two tokens with the same first three characters look the same."""
        shown = {
            header_by_name(b"authorization", f"Bearer sk-{token}".encode())
            for token in (one, other)
        }
        self.assertEqual(shown, {b"Bearer sk-****"})

    def test_known_secrets_go_whatever_the_header(self) -> None:
        """A header that no rule names may still hold a key of ours."""
        masked = Masker([KEY]).mask_headers(
            [(b"x-note", b"is " + KEY.encode() + b"!"), (b"a", b"b")]
        )
        self.assertEqual(masked, [(b"x-note", b"is ****!"), (b"a", b"b")])


class QueryTests(SynchronousTestCase):
    """What is left of a query and of a URL."""

    def test_values_of_secret_names(self) -> None:
        """They are hidden; the order and everything else stay."""
        self.assertEqual(query_by_name("a=1&api_key=abc&b"), "a=1&api_key=****&b")
        self.assertEqual(query_by_name(f"key={KEY}"), "key=sk-****")
        self.assertEqual(
            query_by_name("api%5Fkey=x;token=y&token="), "api%5Fkey=****;token=****&token="
        )
        self.assertEqual(query_by_name("key=" + "%41" * 20), "key=****")
        self.assertEqual(query_by_name("api-version=2024&stream"), "api-version=2024&stream")

    def test_urls(self) -> None:
        """User info goes as well."""
        self.assertEqual(url_by_name("https://u:p@h/v1?key=1"), "https://****@h/v1?key=****")
        self.assertEqual(url_by_name("https://h/a@b?x=u@v"), "https://h/a@b?x=u@v")


class MaskerTests(SynchronousTestCase):
    """Known secrets go wherever they stand."""

    def test_every_form(self) -> None:
        """As it is, in JSON, percent-encoded, in base64 at any alignment."""
        for secret in (KEY, ODD):
            masker = Masker([secret])
            raw = secret.encode()
            found = [
                raw,
                json.dumps(secret)[1:-1].encode(),
                json.dumps(secret, ensure_ascii=False)[1:-1].encode(),
                json.dumps(json.dumps(secret))[3:-3].encode(),
                json.dumps(secret)[1:-1].replace("/", "\\/").encode(),
                quote(secret, safe="").encode(),
                quote_plus(secret).encode(),
            ]
            for form in found:
                self.assertEqual(masker.mask(b"<" + form + b">"), b"<****>", form)

    def test_base64_at_every_alignment(self) -> None:
        """Within Basic credentials or a larger text, in either alphabet, few characters stay."""
        for secret in (KEY, ODD):
            masker = Masker([secret])
            for before in range(7):
                for after in range(4):
                    text = b"u" * before + secret.encode() + b"p" * after
                    for encode in (base64.b64encode, base64.urlsafe_b64encode):
                        encoded = encode(text)
                        masked = masker.mask(encoded)
                        left = len(masked.replace(b"****", b"").rstrip(b"="))
                        self.assertIn(b"****", masked)
                        self.assertLessEqual(left, 4 * (before + after) // 3 + 4)

    def test_short_secrets_are_left(self) -> None:
        """A secret of fewer than 12 characters would be found in innocent text."""
        self.assertEqual(Masker(["password", ""]).mask(b"password"), b"password")

    def test_nothing_known(self) -> None:
        """Without secrets everything stays, and it is the same object."""
        data = b"x" * 5000
        self.assertIs(Masker().mask(data), data)
        self.assertEqual(Masker().held(data), 0)

    def test_large_and_small_data(self) -> None:
        """Both ways of searching find the same."""
        masker = Masker([KEY, ODD])
        for size in (10, 5000):
            filler = b"." * size
            self.assertEqual(masker.mask(filler + KEY.encode() + filler), filler + b"****" + filler)

    def test_one_secret_within_another(self) -> None:
        """Where secrets overlap all of them go."""
        masker = Masker(["aaaabbbbcccc", "bbbbccccdddd", "aaaabbbbccccddddeeee"])
        self.assertEqual(masker.mask(b"-aaaabbbbccccdddd-"), b"-****-")
        self.assertEqual(masker.mask(b"-aaaabbbbccccddddeeee-"), b"-****-")

    def test_a_secret_that_is_cut_off(self) -> None:
        """A text that ends within a secret does not show the part."""
        masker = Masker([KEY])
        self.assertEqual(masker.mask(b"got " + KEY.encode()[:16]), b"got ****")
        self.assertEqual(masker.mask(b"got sk-proj"), b"got sk-proj")

    def test_text_and_urls(self) -> None:
        """Text, queries and URLs go by both rules."""
        masker = Masker([KEY])
        self.assertEqual(masker.mask_text(f"é {KEY} \ud800"), "é **** \ud800")
        self.assertEqual(masker.mask_query(f"x={KEY}&key=1"), "x=****&key=****")
        self.assertEqual(masker.mask_url(f"http://h/{KEY}?key=1"), "http://h/****?key=****")

    @given(SECRETS, st.binary(max_size=30), st.binary(max_size=30))
    def test_no_secret_survives(self, secret: str, before: bytes, after: bytes) -> None:
        """Whatever surrounds it."""
        masked = Masker([secret]).mask(before + secret.encode() + after)
        self.assertNotIn(secret.encode(), masked)
        self.assertIn(b"****", masked)

    @given(AB_SECRETS, TEXTS)
    def test_masking_again_changes_nothing(self, secrets: list[str], text: bytes) -> None:
        """What is masked holds no secret, and no end of one that would be hidden."""
        masked = Masker(secrets).mask(text)
        for secret in secrets:
            self.assertNotIn(secret.encode(), masked)


class WindowTests(SynchronousTestCase):
    """What is long is searched a part at a time."""

    @given(TEXTS, TEXTS, st.text("ab", min_size=12, max_size=20), st.integers(1, 30))
    def test_a_secret_across_parts(
        self, before: bytes, behind: bytes, secret: str, window: int
    ) -> None:
        """It is found as if all of it were looked at at once, and so is none that is not there."""
        masker, text = Masker([secret]), before + secret.encode() + behind
        self.assertFalse(masker.finds(text.replace(b"a", b"c").replace(b"b", b"c")))
        whole = masker.finds(text)
        masked = masker.mask(text)
        with patch.object(masking, "_SHORT", 0), patch.object(masking, "_WINDOW", window):
            self.assertEqual(masker.finds(text), whole)
            self.assertEqual(masker.mask(text), masked)


class WordsTests(SynchronousTestCase):
    """With many secrets only long words are looked at."""

    def words(self, data: bytes, window: int = Words.WINDOW) -> bytes:
        """Where something of five or more letters a and b may stand."""
        words = Words(frozenset(b"ab"), 5)
        self.patch(Words, "WINDOW", window)
        return words.of(data)

    @given(st.lists(st.sampled_from([b"a", b"b", b"ab" * 3, b".", b"\n"]), max_size=40), FEW)
    def test_no_long_word_is_missed(self, parts: list[bytes], window: int) -> None:
        """Each is there whole, wherever the windows end, and none stands in another's place."""
        data = b"".join(parts)
        expected = [word for word in re.findall(b"[ab]+", data) if len(word) >= 5]
        self.assertEqual(re.findall(b"[ab]+", self.words(data, window)), expected)

    def test_too_many(self) -> None:
        """Then all of the data is looked at, which costs less."""
        self.assertEqual(self.words(b"ababab " * 9), b"ababab " * 9)
        self.assertEqual(self.words(b"ababab " * 8), b"ababab\0" * 7 + b"ababab")

    def test_any_byte(self) -> None:
        """If secrets hold every byte that there is, all of the data is one word."""
        self.assertEqual(Words(frozenset(range(256)), 5).of(b"any"), b"any")

    @given(st.lists(st.text("ab", min_size=12, max_size=14), min_size=3, max_size=9), TEXTS)
    def test_finds_the_same(self, secrets: list[str], text: bytes) -> None:
        """Whatever the secrets and the text are."""
        self.patch(masking, "_SHORT", 0)
        masker = Masker(secrets)
        forms = set().union(*map(masking.forms, secrets))
        for data in (text, text + secrets[0].encode(), text + b"\n" + secrets[-1].encode() + b"a"):
            self.assertEqual(masker.finds(data), any(form in data for form in forms))


class StreamTests(SynchronousTestCase):
    """Secrets across the reads of a stream."""

    def test_ordinary_reads_pass_at_once(self) -> None:
        """Nothing waits where nothing could begin."""
        stream = MaskedStream(Masker([KEY]))
        self.assertEqual(stream.feed(b'data: {"a": 1}\n\n'), [Piece(b'data: {"a": 1}\n\n')])

    def test_a_secret_in_two_reads(self) -> None:
        """It is replaced where it begins; both reads say that they were altered."""
        stream = MaskedStream(Masker([KEY]))
        self.assertEqual(stream.feed(b"x" + KEY.encode()[:9]), [])
        self.assertEqual(
            stream.feed(KEY.encode()[9:] + b"y\n"), [Piece(b"x****", True), Piece(b"y\n", True)]
        )

    def test_a_false_start(self) -> None:
        """A read that only looked like a beginning comes unchanged, with the next."""
        stream = MaskedStream(Masker([KEY]))
        self.assertEqual(stream.feed(b"ask"), [])
        self.assertEqual(stream.feed(b"ing\n"), [Piece(b"ask"), Piece(b"ing\n")])

    def test_waiting_is_bounded(self) -> None:
        """Endless beginnings hold back no more than the length of a secret."""
        stream = MaskedStream(Masker([KEY]))
        for _ in range(1000):
            stream.feed(b"xs")
        self.assertLessEqual(len(stream.flush()), 1)

    def test_the_end_of_a_stream(self) -> None:
        """What waited comes out; most of a secret does not."""
        stream = MaskedStream(Masker([KEY]))
        stream.feed(b"s")
        self.assertEqual(stream.flush(), [Piece(b"s")])
        stream = MaskedStream(Masker([KEY]))
        stream.feed(KEY.encode()[:18])
        self.assertEqual(stream.flush(), [Piece(b"****", True)])

    def test_a_whole_secret_does_not_wait(self) -> None:
        """A read that ends with all of it is certain."""
        stream = MaskedStream(Masker([KEY]))
        self.assertEqual(stream.feed(KEY.encode()), [Piece(b"****", True)])

    def test_the_end_of_a_secret_waits(self) -> None:
        """The rest of a secret stays hidden in a read that has to wait after all."""
        stream = MaskedStream(Masker([KEY]))
        self.assertEqual(stream.feed(KEY.encode()[:9]), [])
        self.assertEqual(stream.feed(KEY.encode()[9:] + b" s"), [Piece(b"****", True)])
        self.assertEqual(stream.feed(b"o\n"), [Piece(b" s", True), Piece(b"o\n")])

    @given(
        st.lists(st.tuples(st.integers(0, 23), st.integers(0, 24), LETTERS), max_size=8),
        st.lists(st.integers(0, 120), max_size=12),
    )
    def test_parts_of_secrets_split_anywhere(
        self, parts: list[tuple[int, int, bytes]], places: list[int]
    ) -> None:
        """A stream of whole secrets, beginnings and ends of them is masked as the whole is."""
        masker = Masker([KEY, KEY[4:] + KEY[:8]])
        text = b"".join(
            KEY.encode()[start:end] + KEY.encode() * (end > 20) + x for start, end, x in parts
        )
        pieces = streamed(masker, cut(text, places))
        joined = b"".join(piece.data for piece in pieces)
        self.assertEqual(re.sub(rb"(\*{4})+", b"****", joined), masker.mask(text))

    @given(AB_SECRETS, TEXTS, st.lists(st.integers(0, 60), max_size=12))
    def test_split_anywhere(self, secrets: list[str], text: bytes, places: list[int]) -> None:
        """However a stream is cut, every read comes back; together they are the masked whole."""
        masker = Masker(secrets)
        reads = cut(text, places)
        pieces = streamed(masker, reads)
        self.assertEqual(len(pieces), len(reads))
        joined = b"".join(piece.data for piece in pieces)
        self.assertEqual(re.sub(rb"(\*{4})+", b"****", joined), masker.mask(text))
        for read, piece in zip(reads, pieces, strict=True):
            self.assertTrue(piece.masked or piece.data == read)

    @given(st.lists(st.integers(0, 60), max_size=12), st.integers(0, 2))
    def test_base64_in_a_stream(self, places: list[int], before: int) -> None:
        """An encoded secret is found across reads as well."""
        text = b"data: " + base64.b64encode(b"u" * before + KEY.encode()) + b"\n\n"
        pieces = streamed(Masker([KEY]), cut(text, places))
        self.assertEqual(b"".join(p.data for p in pieces), Masker([KEY]).mask(text))


class NeedleTests(SynchronousTestCase):
    """Many texts looked for at once, and each by itself: the same is found."""

    @given(st.lists(st.text("ab", min_size=7, max_size=20).map(str.encode)), TEXTS)
    def test_the_same_is_found(self, texts: list[bytes], data: bytes) -> None:
        """Nothing more, and nothing less, wherever it begins."""
        found = Needles(texts).found(data)
        self.assertEqual(sorted(found), sorted({text for text in texts if text in data}))

    @given(st.lists(st.binary(min_size=7, max_size=40), min_size=1), st.data())
    def test_whatever_stands_there_is_found(self, texts: list[bytes], data: Any) -> None:
        """At any place, of any length."""
        text = data.draw(st.sampled_from(texts))
        before, after = data.draw(st.binary()), data.draw(st.binary())
        self.assertIn(text, Needles(texts).found(before + text + after))

    def test_nothing_to_look_for(self) -> None:
        """Nothing is found."""
        self.assertEqual(Needles([]).found(b"x" * 100), [])
        self.assertEqual(Needles([b"x" * 7]).found(b""), [])

    @given(
        st.lists(SECRETS, min_size=1, max_size=4),
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.binary(max_size=3))),
    )
    def test_a_masker_with_many_secrets_masks_the_same(
        self, secrets: list[str], parts: list[tuple[int, int, bytes]]
    ) -> None:
        """As one that looks for each; whole ones, cut ones, and streams of both."""
        pieces = [secrets[n % len(secrets)].encode()[:end] + rest for n, end, rest in parts]
        data = b"".join(pieces)
        few = Masker(secrets)
        with patch.object(masking, "_LOTS", 0):
            lots = Masker(secrets)
        self.assertEqual(lots.mask(data), few.mask(data))
        self.assertEqual((lots.finds(data), lots.held(data)), (few.finds(data), few.held(data)))
        self.assertEqual(streamed(lots, pieces), streamed(few, pieces))
