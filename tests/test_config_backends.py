"""One backend's settings: what each may be, what is said when it is something else."""

from __future__ import annotations

from textwrap import indent

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.configs import backend, entry, notices, parsed, problems
from yallmp.core.backend import Backend, Parse, Patience, Tls
from yallmp.core.config import ConfigError, parse_backend

BASE = "api_base: https://h.example/v1\n"
PREFIX = "model_list[0].litellm_params."


def messages(params: str, environ: dict[str, str] | None = None) -> list[str]:
    """What is wrong with an entry, without its place."""
    found = problems(entry(BASE + params), environ)
    return [problem.partition(PREFIX)[2] for problem in found]


class ValueTests(SynchronousTestCase):
    """Right values."""

    def test_everything(self) -> None:
        """Every setting of a backend reaches its value."""
        found = backend("""\
            api_base: https://h.example/v1/
            api_key: sk-1
            model: openai/gpt-4o
            api_type: openai
            supports_reasoning: true
            weight: 2.5
            order: 1
            request_timeout: 30
            connect_timeout: 1
            first_byte_timeout: 2
            first_content_timeout: 3.5
            idle_timeout: 4
            answer_timeout: 5
            ping_timeout: 6
            stream_lifetime: 7
            tail_timeout: 8
            rescue_timeout: 9
            stream_rescue: on
            stream_commit: complete
            prefill: vllm
            extra_headers: {X-Team: blue, X-Number: 3}
            extra_body: {a: 1, b: {c: [x, null]}}
            drop_params: [user, seed]
            query: {api-version: 2024-02-01}
            pass_headers: X-Trace
            ssl_verify: true
            max_in_flight: 4
            queue_timeout: 0
            """)
        self.assertEqual(
            found,
            Backend(
                name="m",
                model_name="m",
                api_base="https://h.example/v1",
                api_key="sk-1",
                sends="gpt-4o",
                supports_reasoning=True,
                weight=2.5,
                order=1,
                patience=Patience(30, 1, 2, 3.5, 4, 5, 6, 7, 8, 9),
                extra_headers=(("X-Team", "blue"), ("X-Number", "3")),
                extra_body=(("a", "1"), ("b", '{"c": ["x", null]}')),
                drop_params=("user", "seed"),
                query=(("api-version", "2024-02-01"),),
                pass_headers=("x-trace",),
                max_in_flight=4,
                queue_timeout=0.0,
                stream_rescue="on",
                stream_commit="complete",
                prefill="vllm",
            ),
        )

    def test_words(self) -> None:
        """On and off are words, though YAML reads them as booleans."""
        for value in ("off", "'off'", "no", "false"):
            found = backend(BASE + f"stream_rescue: {value}\nprefill: {value}\n")
            self.assertEqual((found.stream_rescue, found.prefill), ("off", "off"), value)
        self.assertEqual(backend(BASE).stream_rescue, "auto")

    def test_aliases(self) -> None:
        """Other names mean the same."""
        found = backend(
            BASE + "timeout: 3\nforward_model: f\nmax_parallel_requests: 2\nstream_timeout: 9\n"
        )
        self.assertEqual(found.patience.request_timeout, 3.0)
        self.assertEqual((found.sends, found.max_in_flight), ("f", 2))
        self.assertEqual(found.patience.first_byte_timeout, 9.0)
        self.assertEqual(found.patience.first_content_timeout, 9.0)
        self.assertEqual(backend("base_url: http://h").api_base, "http://h")

    def test_alias_and_name(self) -> None:
        """Both are an error, whatever they say."""
        self.assertEqual(
            messages("timeout: 3\nrequest_timeout: 3\ntarget_model: a\nforward_model: a\n"),
            [
                "request_timeout: is the same as timeout; give one of them",
                "forward_model: is the same as target_model; give one of them",
            ],
        )

    def test_stream_timeout_is_a_default(self) -> None:
        """An explicit single one wins."""
        found = backend(BASE + "stream_timeout: 9\nfirst_byte_timeout: 2\n").patience
        self.assertEqual((found.first_byte_timeout, found.first_content_timeout), (2.0, 9.0))

    def test_model_params(self) -> None:
        """The other name of litellm_params."""
        text = entry(BASE).replace("litellm_params", "model_params")
        self.assertEqual(parsed(text).backends[0].api_base, "https://h.example/v1")
        self.assertIn("model_list[0].model_params.x:", problems(text + "      x: 1\n")[0])

    def test_defaults_for_all(self) -> None:
        """What stands in router_settings is for all; an entry's own wins."""
        own = "idle_timeout: 3\nextra_headers: {B: b}\nprefill: off\n"
        text = entry(BASE + own) + (
            "router_settings: {idle_timeout: 9, timeout: 20, weight: 3, extra_headers: {A: a},\n"
            "  stream_timeout: 4, ssl_verify: false, pass_headers: [X-A], max_in_flight: 5,\n"
            "  rescue_timeout: 8, stream_rescue: off, stream_commit: complete, prefill: plain}\n"
            "litellm_settings: {request_timeout: 10}\n"
        )
        (found,) = parsed(text).backends
        self.assertEqual(
            found.patience,
            Patience(
                request_timeout=20,
                idle_timeout=3,
                first_byte_timeout=4,
                first_content_timeout=4,
                rescue_timeout=8,
            ),
        )
        self.assertEqual(
            (found.stream_rescue, found.stream_commit, found.prefill), ("off", "complete", "off")
        )
        self.assertEqual(
            (found.weight, found.max_in_flight, found.tls), (3.0, 5, Tls(verify=False))
        )
        self.assertEqual((found.extra_headers, found.pass_headers), ((("B", "b"),), ("x-a",)))

    def test_destinations_are_not_for_all(self) -> None:
        """A key for all would be sent to all."""
        said = problems(entry(BASE) + "router_settings: {api_key: x}\n")
        self.assertEqual(
            said,
            ["c.yaml:5: router_settings.api_key: api_key belongs into litellm_params of an entry"],
        )

    def test_off(self) -> None:
        """What can be off takes the word, quoted or not."""
        self.assertIsNone(backend(BASE + "max_in_flight: off\n").max_in_flight)
        self.assertIsNone(backend(BASE + "max_in_flight: 'off'\n").max_in_flight)

    def test_null_is_unset(self) -> None:
        """Nothing after the colon means nothing."""
        found = backend(BASE + "weight:\nrequest_timeout: null\nextra_headers:\ndrop_params:\n")
        self.assertEqual(found, backend(BASE))

    def test_logging(self) -> None:
        """An entry may say what is recorded of it; the words are words."""
        for word in ("on", "off", "errors"):
            (found,) = parsed(entry(BASE) + f"    logging: {{requests: {word}}}\n").backends
            self.assertEqual(found.log_requests, word)

    def test_mock(self) -> None:
        """Something that is answered inside needs no address."""
        self.assertEqual(backend("mock_response: Hello\n").mock_response, "Hello")


class MistakeTests(SynchronousTestCase):
    """Wrong values, each with its place."""

    def test_the_documented_line(self) -> None:
        """Exactly so."""
        text = "\n\n\n\n\nmodel_list:\n  - {model_name: a, litellm_params: {mock_response: a}}\n"
        text += "  - model_name: b\n    litellm_params:\n      mock_response: b\n"
        text += "      weight: 1\n      request_timeout: soon\n"
        said = '"soon" is not a number of seconds'
        self.assertEqual(
            problems(text),
            [f"c.yaml:12: model_list[1].litellm_params.request_timeout: {said}"],
        )

    def test_all_at_once(self) -> None:
        """Mistakes in every section come in one go, in order."""
        text = "limits: {max_body_bytes: lots}\nlimits: {}\n" + entry(BASE + "weight: heavy\n")
        text += "general_settings: {server: {prot: 1}}\n"
        self.assertEqual(
            [problem.split(": ")[1] for problem in problems(text)],
            ["limits.max_body_bytes", "limits", PREFIX + "weight", "general_settings.server.prot"],
        )

    def test_kinds(self) -> None:
        """Each kind says what it would have liked."""
        for text, said in [
            ("weight: -1", "-1 is negative"),
            ("weight: .nan", ".nan is not a number"),
            ("weight: yes", "yes is not a number"),
            ("order: 1.5", "1.5 is not a whole number from -1000000 to 1000000"),
            ("request_timeout: 0", "0 is not a positive number of seconds"),
            ("request_timeout: -3", "-3 is negative"),
            ("request_timeout: .inf", ".inf is not a number of seconds"),
            ("request_timeout: true", "true is not a number of seconds"),
            ('request_timeout: "30"', '"30" is not a number of seconds'),
            ("request_timeout: [1]", "is a list, where one value is expected"),
            ("request_timeout: 2000000", "2000000 is more than 1000000 seconds"),
            ("supports_reasoning: 'false'", '"false" is not true or false'),
            ("supports_reasoning: 0", "0 is not true or false"),
            ("max_in_flight: 0", "0 is not a whole number of at least 1"),
            ("max_in_flight: true", "true is not a whole number of at least 1"),
            ("stream_rescue: maybe", '"maybe" is not one of auto, on, off'),
            ("stream_commit: off", "off is not one of first_content, complete"),
            ("prefill: on", "on is not one of off, plain, vllm, prefix"),
            ("rescue_timeout: 0", "0 is not a positive number of seconds"),
            ("target_model: true", "true is not text; put it in quotation marks"),
            ("target_model: ''", "is empty; give it a value or remove it"),
            ("extra_headers: [a]", "a list is not a mapping (key: value)"),
            ("extra_body: 3", "3 is not a mapping (key: value)"),
            ("drop_params: {a: b}", "is a mapping, where a list is expected"),
            ("api_key: 'a b'", "has a blank, a line break or a character beyond ASCII in it"),
            ("api_key: [a]", "is a list, where one value is expected"),
        ]:
            name = text.partition(":")[0]
            self.assertEqual(messages(text), [f"{name}: {said}"], text)

    def test_headers(self) -> None:
        """Names are tokens, values stay on their line, framing is not theirs; none is shown."""
        said = messages('extra_headers: {"a b": s1, Content-Length: 3, X-A: "x\\ny", X-B: ü}\n')
        self.assertEqual(
            said,
            [
                'extra_headers.a b: "a b" is not the name of a header',
                "extra_headers.Content-Length: belongs to the connection and cannot be set",
                "extra_headers.X-A: has a line break or a character beyond ASCII in it",
                "extra_headers.X-B: has a line break or a character beyond ASCII in it",
            ],
        )
        self.assertEqual(len(messages("pass_headers: ['a b']\n")), 1)

    def test_unknown(self) -> None:
        """A typo gets the name that was meant; a stranger gets none."""
        self.assertEqual(
            messages("api_bas: x\nfoobar: 1\n"),
            [
                "api_bas: there is no setting of this name; did you mean api_base?",
                "foobar: there is no setting of this name",
            ],
        )

    def test_in_the_wrong_place(self) -> None:
        """A setting beside litellm_params is sent there."""
        said = problems(entry(BASE) + "    api_key: x\n")
        self.assertEqual(
            said, ["c.yaml:5: model_list[0].api_key: api_key belongs into litellm_params"]
        )

    def test_workers(self) -> None:
        """A number, or one for each core."""
        text = entry(BASE) + "general_settings: {server: {workers: %s}}\n"
        for said, workers in ((1, 1), (8, 8), ("auto", 0), ("null", 1)):
            self.assertEqual(parsed(text % said).server.workers, workers)
        for said in (0, -1, 129, 1.5, "many", "true", "' 2'"):
            (problem,) = problems(text % said)
            self.assertIn("is neither auto nor a number from 1 to 128", problem)

    def test_workers_share_a_port(self) -> None:
        """Where else they are to listen must be plain TCP."""
        text = entry(BASE) + "general_settings: {server: {workers: %s, listen: '%s'}}\n"
        for listen in ("tcp:8000", "tcp6:port=8000:interface=\\:\\:1"):
            self.assertEqual(problems(text % (2, listen)), [])
        self.assertEqual(problems(text % (1, "unix:/run/y.sock")), [])
        for listen in ("unix:/run/y.sock", "systemd:domain=INET:index=0"):
            for workers in (2, "auto"):
                self.assertIn(
                    "several workers need host and port", problems(text % (workers, listen))[0]
                )

    def test_sizes(self) -> None:
        """With and without letters, not with others."""
        text = entry(BASE) + "limits: {max_body_bytes: %s}\n"
        for size, expected in [
            ("1000", 1000),
            ("1k", 1024),
            ("1.5M", 1536 * 1024),
            ("'2 GiB'", 2**31),
        ]:
            self.assertEqual(parsed(text % size).limits.max_body_bytes, expected)
        for size in ("0", "-1", "1T", "many", "true", "1.2.3"):
            self.assertIn("is not a size", problems(text % size)[0])

    def test_logging(self) -> None:
        """Words, bodies and ages."""
        text = entry(BASE) + "logging: {%s}\n"
        for said, value in [("full", None), ("none", 0), ("0", 0), ("100", 100), ("2k", 2048)]:
            self.assertEqual(parsed(text % f"bodies: {said}").logging.bodies, value, said)
        for said, age in [("60", 60), ("7 days", 604800), ("12h", 43200), ("1 week", 604800)]:
            self.assertEqual(parsed(text % f"max_age: {said}").logging.max_age, age, said)
        for said in ["bodies: some", "bodies: -1", "bodies: true", "max_age: old", "max_age: 0",
                     "max_age: true", "requests: maybe", "format: xml", "level: loud"]:  # fmt: skip
            self.assertEqual(len(problems(text % said)), 1, said)


class AddressTests(SynchronousTestCase):
    """``api_base``."""

    def test_refused(self) -> None:
        """Each for its reason, never repeated."""
        for url in [
            "ftp://h/v1", "h.example/v1", "http://", "http://h:99999/v1", "http://h:x/",
            "http://[::1", "http://user:pw@h/v1", "http://h/v1?a=b", "http://h/v1#f", "http://h/v1?",
            "'http://h/ v1'",
            "'http://h\\v1'", '"http://h/v1\\n"', "http://hö.example", "file:///etc/passwd",
            "http://h/v1/chat/completions",
        ]:  # fmt: skip
            said = problems(entry(f"api_base: {url}"))
            self.assertEqual(len(said), 1, (url, said))
            self.assertNotIn("pw", said[0])

    def test_accepted(self) -> None:
        """Trailing slashes go, all else stays."""
        for url, expected in [
            ("http://[::1]:8080/v1//", "http://[::1]:8080/v1"),
            ("https://h.example", "https://h.example"),
            ("HTTP://h.example/V1/", "HTTP://h.example/V1"),
        ]:
            self.assertEqual(backend(f"api_base: '{url}'").api_base, expected)

    def test_missing(self) -> None:
        """Said with what would help."""
        where = "c.yaml:3: model_list[0].litellm_params: api_base is missing"
        self.assertEqual(
            problems(entry("model: gpt-4o\n")),
            [f"{where} (for OpenAI itself, write model: openai/gpt-4o)"],
        )
        self.assertEqual(
            problems(entry("model: hosted_vllm/x\n")),
            [f"{where}: hosted_vllm/ is a provider without a default address"],
        )
        self.assertEqual(
            problems(entry("model: cohere/x\n")),
            [f"{where}: cohere/ is no provider that is known here"],
        )

    def test_empty_variables(self) -> None:
        """What a variable leaves empty is named: an address, an answer, a name."""
        where = "c.yaml:4: model_list[0].litellm_params"
        self.assertEqual(
            problems(entry("api_base: ${URL:-}\n")),
            [f"{where}.api_base: is empty; give it a value"],
        )
        (said,) = problems(entry("mock_response: ${EMPTY}\n"), {"EMPTY": ""})
        self.assertTrue(said.startswith(f"{where}.mock_response: is empty; "), said)
        self.assertEqual(problems(entry(BASE + "mock_response: ${EMPTY}\n"), {"EMPTY": ""}), [])
        for name in ("", " ${X:-}"):
            said = problems(entry(BASE).replace(" m\n", f"{name}\n", 1))
            self.assertEqual(said, ["c.yaml:2: model_list[0]: model_name is missing"])

    def test_api_type(self) -> None:
        """An unknown one lists those that there are."""
        self.assertEqual(
            messages("api_type: opnai"),
            ["api_type: there is no api_type opnai; there is: openai; did you mean openai?"],
        )

    def test_parse(self) -> None:
        """What is read out of texts; off is as if nothing had been said."""
        found = backend(BASE + "parse: {reasoning: think_tags, tool_calls: glm}\n")
        self.assertEqual(found.parse, Parse("think_tags", "glm"))
        self.assertIsNone(backend(BASE + "parse: {reasoning: off}\n").parse)
        self.assertEqual(
            messages("parse: {tool_calls: soap}"),
            ['parse.tool_calls: "soap" is not one of off, auto, hermes, qwen, glm, kimi'],
        )

    def test_other_api_types(self) -> None:
        """What is implemented is an argument; its prefix is removed too."""
        text = entry(BASE + "api_type: anthropic\nmodel: anthropic/claude\n")
        (found,) = parsed(text, api_types=("openai", "anthropic")).backends
        self.assertEqual((found.api_type, found.sends), ("anthropic", "claude"))

    def test_several_api_types(self) -> None:
        """The first is the one to translate into; each must be known, and stands once."""
        known = ("openai", "anthropic")
        text = entry(BASE + "api_type: [openai, anthropic]\nmodel: anthropic/claude\n")
        (found,) = parsed(text, api_types=known).backends
        self.assertEqual((found.api_type, found.also), ("openai", ("anthropic",)))
        self.assertEqual(found.sends, "claude")
        for listed, message in (
            ("[openai, soap]", "there is no api_type soap; there is: openai"),
            ("[openai, openai]", '"openai" stands in it twice'),
            ("[]", "is empty; name one at least, or remove it"),
        ):
            self.assertEqual(messages(f"api_type: {listed}"), [f"api_type: {message}"])


class ModelTests(SynchronousTestCase):
    """What a backend is asked for."""

    def test_sends(self) -> None:
        """target_model as it is; model without one prefix; else nothing of its own."""
        for params, sends in [
            ("", None),
            ("model: gpt-4o", "gpt-4o"),
            ("model: openai/gpt-4o", "gpt-4o"),
            ("model: openai/openai/gpt-4o", "openai/gpt-4o"),
            ("model: openrouter/openai/gpt-4o", "openai/gpt-4o"),
            ("model: meta-llama/Llama-3", "meta-llama/Llama-3"),
            ("target_model: openai/gpt-4o", "openai/gpt-4o"),
            ("target_model: a\nmodel: openai/b", "a"),
            ("model: 4.1", "4.1"),
        ]:
            self.assertEqual(backend(BASE + params).sends, sends, params)

    def test_wildcards(self) -> None:
        """The rest of the name is sent, with what stands before the star."""
        text = entry(BASE + "model: openai/gpt-*\n").replace("m\n", "'x/*'\n", 1)
        (found,) = parsed(text).backends
        self.assertEqual(found.upstream_model("x/4o"), "gpt-4o")
        self.assertEqual(messages("model: openai/*"), ["model: ends in *, but model_name does not"])

    def test_nothing_after_the_prefix(self) -> None:
        """A prefix alone is no model."""
        self.assertIn('model: "openai/" names no model', messages("model: openai/"))


class EnvironmentTests(SynchronousTestCase):
    """Variables in an entry."""

    def test_any_depth(self) -> None:
        """In every text, also in lists and inside extra_body; keys are left alone."""
        found = backend(
            BASE
            + "extra_body: {$A: [{x: 'is ${A}'}]}\ndrop_params: [$A]\n"
            + "extra_headers: {X: 'Bearer $A'}\n",
            {"A": "$B"},
        )
        self.assertEqual(found.extra_body, (("$A", '[{"x": "is $B"}]'),))
        self.assertEqual(found.drop_params, ("$B",))
        self.assertEqual(found.extra_headers, (("X", "Bearer $B"),))

    def test_numbers_and_booleans(self) -> None:
        """A value that is wholly one variable is read as YAML would; part of one is text."""
        environ = {"T": "30", "F": "false", "N": "4"}
        found = backend(
            BASE + "timeout: $T\nsupports_reasoning: ${F}\nmax_in_flight: os.environ/N\n"
            "weight: ${W:-2}\ntarget_model: $T\n",
            environ,
        )
        self.assertEqual(found.patience.request_timeout, 30.0)
        self.assertIs(found.supports_reasoning, False)
        self.assertEqual((found.max_in_flight, found.weight, found.sends), (4, 2.0, "30"))
        self.assertEqual(
            messages("timeout: 1$T", environ),
            ["timeout: the value of 1$T is not a number of seconds"],
        )

    def test_values_are_not_shown(self) -> None:
        """A key in the wrong place does not reach a message."""
        said = messages("timeout: ${K}\norder: $K\nsupports_reasoning: $K\n", {"K": "sk-secret"})
        self.assertEqual(len(said), 3)
        self.assertEqual(said[0], "timeout: the value of ${K} is not a number of seconds")
        self.assertNotIn("sk-secret", " ".join(said))

    def test_unset(self) -> None:
        """An error with the variable and its place."""
        said = "the environment variable URL is not set; set it, or write ${URL:-default}"
        self.assertEqual(
            problems(entry("api_base: ${URL}/v1\n")),
            [f"c.yaml:4: {PREFIX}api_base: {said}"],
        )

    def test_left_out(self) -> None:
        """Without its key an entry is left out, whatever else it lacks."""
        text = entry(BASE) + indent(
            "- model_name: b\n  litellm_params: {model: openai/b, api_key: $K, "
            "api_base: '$URL/v1', ssl_verify: false, ssl_ca_file: none.pem}\n",
            "  ",
        )
        for environ in ({}, {"K": ""}):
            config = parsed(text, environ)
            self.assertEqual([found.name for found in config.backends], ["m"])
            self.assertEqual(notices(config), [])
            self.assertEqual(notices(config, "info"), ["left out, as K is not set: b"])

    def test_left_out_is_checked(self) -> None:
        """A typo in it is a typo all the same."""
        text = (
            entry(BASE)
            + "  - {model_name: b, litellm_params: {api_key: $K, api_bas: 'http://h'}}\n"
        )
        self.assertIn("did you mean api_base?", problems(text)[0])

    def test_part_of_a_key(self) -> None:
        """Only a key that is wholly a variable leaves an entry out."""
        self.assertIn("K is not set", messages("api_key: x$K")[0])
        self.assertIsNone(backend(BASE + "api_key: ${K:-}\n").api_key)
        self.assertEqual(backend(BASE + "api_key: ${K:-x}\n").api_key, "x")

    def test_empty_key(self) -> None:
        """It is none, and said."""
        config = parsed(entry(BASE + "api_key: ''\n"))
        self.assertIsNone(config.backends[0].api_key)
        self.assertIn("api_key: is empty and counts as not set", notices(config)[0])

    def test_half_a_reference(self) -> None:
        """A key that begins a reference and does not end it is a mistake that is told."""
        for key in ("${", "${A", "${1}"):
            (problem,) = problems(entry(BASE + f"api_key: '{key}'\n"))
            self.assertIn("api_key: ", problem)


class FileTests(SynchronousTestCase):
    """Keys and certificates in files."""

    def read(self, path: str) -> bytes:
        """Two files beside the configuration and one elsewhere."""
        files = {
            "/etc/yallmp/key": b" sk-1\n",
            "/run/ca.pem": b"-----BEGIN CERTIFICATE-----\n",
            "/etc/yallmp/empty": b"\n",
        }
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory")
        return files[path]

    def test_read(self) -> None:
        """A key without its white space, a certificate as it is; paths from the file's folder."""
        text = entry(BASE + "api_key_file: key\nssl_ca_file: /run/ca.pem\n")
        (found,) = parsed(text, read_file=self.read).backends
        self.assertEqual(found.api_key, "sk-1")
        self.assertEqual(found.tls, Tls(ca_pem=b"-----BEGIN CERTIFICATE-----\n"))

    def test_problems(self) -> None:
        """Missing, empty, the wrong thing, and a key twice."""
        for params, said in [
            ("api_key_file: none", "none cannot be read: No such file or directory"),
            ("api_key_file: empty", "the file is empty"),
            ("ssl_ca_file: key", "the file holds no certificate in PEM form"),
            ("api_key: x\napi_key_file: key", "api_key is given too; give one of them"),
        ]:
            found = problems(entry(BASE + params), read_file=self.read)
            self.assertEqual([problem.rpartition("_file: ")[2] for problem in found], [said])

    def test_no_verification(self) -> None:
        """Said at every start."""
        config = parsed(entry(BASE + "ssl_verify: false\n"))
        self.assertEqual(config.backends[0].tls, Tls(verify=False))
        self.assertIn("certificates are not verified", notices(config)[0])


class RegistrationTests(SynchronousTestCase):
    """A backend from JSON."""

    def test_literal(self) -> None:
        """Nothing is taken from the environment."""
        found = parse_backend(
            "m", {"api_base": "http://h/v1/", "api_key": "$K", "timeout": 3, "model": "groq/x"}
        )
        self.assertEqual((found.name, found.model_name), ("m", "m"))
        self.assertEqual((found.api_base, found.api_key, found.sends), ("http://h/v1", "$K", "x"))
        self.assertEqual(found.patience.request_timeout, 3.0)

    def test_types(self) -> None:
        """Numbers are numbers, text is text."""
        error = self.assertRaises(
            ConfigError,
            parse_backend,
            "m",
            {"api_base": 3, "weight": "1", "supports_reasoning": "true", "target_model": 4, "x": 1},
            path="",
        )
        self.assertEqual(
            [str(problem) for problem in error.problems],
            [
                "api_base: 3 is not text; put it in quotation marks",
                'weight: "1" is not a number',
                'supports_reasoning: "true" is not true or false',
                "target_model: 4 is not text; put it in quotation marks",
                "x: there is no setting of this name",
            ],
        )

    def test_name(self) -> None:
        """The model's name is checked as well."""
        error = self.assertRaises(ConfigError, parse_backend, "", {"api_base": "http://h"})
        self.assertIn("model_name", str(error))

    def test_files(self) -> None:
        """None is read."""
        error = self.assertRaises(
            ConfigError, parse_backend, "m", {"api_base": "http://h", "api_key_file": "/etc/passwd"}
        )
        self.assertIn("no files are read here", str(error))

    @given(
        st.dictionaries(
            st.sampled_from(
                ["api_base", "weight", "extra_body", "timeout", "query", "api_key", "model"]
            ),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
                max_leaves=4,
            ),
        )
    )
    def test_any_json(self, params: dict[str, object]) -> None:
        """Whatever it says, it is a backend or a ConfigError."""
        try:
            parse_backend("m", params)
        except ConfigError as error:
            self.assertTrue(error.problems)
