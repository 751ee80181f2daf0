"""Configuration, request bodies, headers: what comes in is understood, or refused with a clear word."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from presage_router import headers
from presage_router.addresses import check_url, join_address, split_address
from presage_router.asked import read_body, understand
from presage_router.config import ConfigError, RouterConfig
from presage_router.engine_body import engine_body
from presage_router.engine_link import context_tokens, kv_capacity
from presage_router.errors import Refusal
from presage_router.prompt_size import PromptSizer

PAGE = """
service: chat
namespace: default
model: meta-llama/Llama-3.1-8B-Instruct
policy: LeastBid
bids: 3
predictor: History
objectives: {ttftMilliseconds: 1000, tpotMilliseconds: 50, percentile: 99}
profile: rtx4090-llama-3.1-8b
queue: {maxRequests: 256, maxWaitSeconds: 60}
timeouts: {connectSeconds: 2, firstByteSeconds: 120, idleSeconds: 60, drainSeconds: 300}
maxBodyBytes: 4194304
"""


def test_the_documented_configuration_is_the_default() -> None:
    """The configuration on the architecture page is read, and equals the defaults beside the model."""
    config = RouterConfig.parse(PAGE, "page")
    assert config == RouterConfig(service="chat", model="meta-llama/Llama-3.1-8B-Instruct")
    assert config.objectives.objectives().ttft_seconds == 1.0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("policy: LeastBid", "service: missing; add it"),
        ("service: a\npolicy: Fastest", "policy: 'Fastest' is refused.*LeastBid"),
        ("service: a\nbids: 0", "bids: 0 is refused.*greater than or equal to 1"),
        ("service: a\nqueue: {maxRequest: 1}", r"queue\.maxRequest: no such key"),
        (
            "service: a\nobjectives: {percentile: 100}",
            r"objectives\.percentile: 100 is refused.*less than 100",
        ),
        ("service: a\nmaxBodyBytes: many", "maxBodyBytes: 'many' is refused"),
        ("- a", "holds list"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_bad_configuration_is_explained(text: str, told: str) -> None:
    """Each mistake is told with the file, the field, the value and the fix."""
    with pytest.raises(ConfigError, match=f"router.yaml.*{told}"):
        RouterConfig.parse(text, "router.yaml")


@pytest.mark.parametrize(
    ("value", "told"),
    [("host", "HOST:PORT"), (":80", "HOST:PORT"), ("a:b", "HOST:PORT"), ("a:70000", "port")],
)
def test_bad_addresses_are_named(value: str, told: str) -> None:
    """A mistyped address is refused with the flag's name, its value and the form to give."""
    with pytest.raises(ConfigError, match=rf"--peer is '{value}': give .*{told}"):
        split_address(value, "--peer")


def test_addresses_come_apart_and_together() -> None:
    """IPv6 hosts keep their brackets outside and lose them inside."""
    assert split_address("[fd00::1]:80", "x") == ("fd00::1", 80)
    assert join_address("fd00::1", 80) == "[fd00::1]:80"
    assert join_address("10.0.0.1", 80) == "10.0.0.1:80"
    assert check_url("http://127.0.0.1:8200/", "--engine") == "http://127.0.0.1:8200"
    for bad in ("127.0.0.1:8200", "ftp://a", "http://", "http://a:b"):
        with pytest.raises(ConfigError, match="--engine is"):
            check_url(bad, "--engine")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
keys = st.sampled_from(
    [
        "messages",
        "prompt",
        "max_tokens",
        "max_completion_tokens",
        "stream",
        "stream_options",
        "user",
        "tools",
        "model",
        "temperature",
        "response_format",
        "prompt_cache_key",
    ]
)


@given(st.dictionaries(keys, json_values))
def test_any_json_object_is_understood(document: dict[str, Any]) -> None:
    """Whatever a client sends in known fields, reading it never fails: the engine judges it."""
    asked = understand(document)
    assert asked.max_tokens is None or asked.max_tokens >= 1
    assert asked.token_ids >= 0
    assert asked.temperature is None or asked.temperature >= 0
    assert PromptSizer().estimate(asked) >= 1


@given(
    st.dictionaries(st.text(max_size=8), json_values, max_size=5), st.booleans(), json_values, st.booleans()
)
def test_the_engines_body_keeps_every_field(
    extra: dict[str, Any], stream: bool, options: Any, priority: bool
) -> None:
    """The engine's body is the client's plus what the guard adds, and nothing else changes."""
    document = {"model": "m", **extra, "stream": stream}
    if isinstance(options, dict):
        document["stream_options"] = options
    body = json.dumps(document).encode()
    sent = json.loads(engine_body(body, understand(document), 7 if priority else None))
    expected = dict(document)
    if stream:
        asked = {"include_usage": True, "continuous_usage_stats": True}
        given_options = document.get("stream_options")
        expected["stream_options"] = (given_options if isinstance(given_options, dict) else {}) | asked
    if priority:
        expected.setdefault("priority", 7)
    assert sent == expected


def test_a_body_that_needs_nothing_is_not_touched() -> None:
    """A whole answer without priority reaches the engine byte for byte."""
    body = b' { "model" : "m" } '
    assert engine_body(body, understand(read_body(body)), None) is body


def test_prompts_are_read_in_every_form() -> None:
    """Chat parts, texts, token ids, tools: each form gives its text or its count."""
    parts = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "x"}}]
    chat = understand({"messages": [{"role": "user", "content": parts}, {"role": "user", "content": "this"}]})
    assert chat.prompt == "see\nthis"
    assert understand({"prompt": ["a", "b"]}).prompt == "a\nb"
    assert understand({"prompt": [1, 2, 3]}).token_ids == 3
    assert understand({"prompt": [[1, 2], [3]]}).token_ids == 3
    tools = understand({"messages": [], "tools": [{"type": "function"}]})
    assert tools.tools
    assert "function" in tools.prompt
    assert understand({"max_tokens": 9, "max_completion_tokens": 5}).max_tokens == 5
    assert understand({"max_tokens": True}).max_tokens is None


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("temperature", 0, 0.0),
        ("temperature", 0.7, 0.7),
        ("temperature", True, None),
        ("temperature", "0.7", None),
        ("temperature", -1, None),
        ("temperature", 10**400, None),
        ("temperature", math.nan, None),
        ("response_format", {"type": "text"}, ""),
        ("response_format", {"type": "json_object"}, "json_object"),
        ("response_format", {"type": "json_schema", "json_schema": {"name": 5}}, "json_schema"),
        ("response_format", {"type": ["json_object"]}, ""),
        ("response_format", "json_object", ""),
        ("prompt_cache_key", "s" * 1000, "s" * 256),
        ("prompt_cache_key", 7, ""),
    ],
)
def test_what_an_engine_would_refuse_counts_as_not_said(field: str, value: Any, read: object) -> None:
    """Temperature, format and session are read where they have a sense; the engine judges the rest."""
    name = "session" if field == "prompt_cache_key" else field
    assert getattr(understand({field: value}), name) == read


def test_schemas_are_told_apart_without_their_names() -> None:
    """Two schemas give two formats, each always the same, and neither shows its name."""
    one, other = (
        understand({"response_format": {"type": "json_schema", "json_schema": {"name": name}}})
        for name in ("invoice", "weather")
    )
    assert one.response_format != other.response_format
    assert "invoice" not in one.response_format
    assert one.response_format.startswith("json_schema:")


@pytest.mark.parametrize(
    ("models", "tokens"),
    [
        ('{"data": [{"id": "m", "max_model_len": 4096}, {"id": "lora", "max_model_len": null}]}', 4096),
        ('{"data": [{"id": "m"}]}', None),
        ('{"data": [{"id": "m", "max_model_len": "4096"}, {"id": "n", "max_model_len": true}]}', None),
        ('{"data": ["m"]}', None),
        ('{"data": null}', None),
        ("[]", None),
        ("", None),
        ("<html>", None),
    ],
)
def test_the_engines_context_is_read_where_it_is_told(models: str, tokens: int | None) -> None:
    """The largest `max_model_len` of the list of models is the context; anything else means unknown."""
    assert context_tokens(models) == tokens


def test_deeply_nested_bodies_are_refused_and_not_fatal() -> None:
    """A body nested beyond reason gets a 400, not a crash."""
    with pytest.raises(Refusal, match="not JSON"):
        read_body(b"[" * 200_000)


def test_prompt_sizes_are_learned() -> None:
    """Characters per token converge on what engines report, within bounds, and odd reports change nothing."""
    sizer = PromptSizer()
    asked = understand({"prompt": "x" * 3000})
    for _ in range(300):
        sizer.learn(asked, 1000)
    assert abs(sizer.estimate(asked) - 1000) < 20
    sizer.learn(asked, 0)
    sizer.learn(understand({}), 5)
    assert abs(sizer.estimate(asked) - 1000) < 20


def proxy(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    """Return headers as a server gives them."""
    return CIMultiDictProxy(CIMultiDict(pairs))


def test_headers_of_one_hop_and_of_our_wire_do_not_travel() -> None:
    """Hop-by-hop headers, those that Connection names, and forged ones of our wire are taken out."""
    received = proxy(
        ("Connection", "close, X-Hop"),
        ("X-Hop", "1"),
        ("Host", "a"),
        ("Transfer-Encoding", "chunked"),
        ("X-Presage-Reservation", "forged"),
        ("X-Other", "1"),
        ("X-Other", "2"),
    )
    assert list(headers.onward(received).items()) == [("X-Other", "1"), ("X-Other", "2")]
    engine = headers.to_engine([("X-Other", "1"), ("x-presage-waited", "3")])
    assert dict(engine) == {"X-Other": "1", "Accept-Encoding": "identity"}


@pytest.mark.parametrize("given_id", ["", "a" * 200, "café"])
def test_unusable_request_ids_are_replaced(given_id: str) -> None:
    """A request id that is empty, too long or not printable ASCII is replaced by a new one."""
    made = headers.request_id(proxy(("x-request-id", given_id)))
    assert made != given_id
    assert len(made) == 32


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ('vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="2588"} 1.0', 41408),
        ('# HELP x\nvllm:cache_config_info{num_gpu_blocks="10",block_size="32"} 1.0\n', 320),
        ('vllm:cache_config_info{block_size="16",num_gpu_blocks="None"} 1.0', None),
        ("", None),
    ],
)
def test_kv_capacity_is_read_from_the_engines_metrics(text: str, tokens: int | None) -> None:
    """Capacity is blocks times block size; what cannot be read is unknown, never zero."""
    assert kv_capacity(text) == tokens
