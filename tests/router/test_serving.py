"""Requests through sidecars: streamed and whole, counted, cancelled, retried, refused."""

import asyncio
import gzip
import json
from typing import Any

import aiohttp
import pytest

CHAT = "/v1/chat/completions"


def events(text: str) -> list[str]:
    """Return the data of each event."""
    return [part.removeprefix("data: ") for part in text.split("\n\n") if part]


def content(text: str) -> str:
    """Return the text that a stream carried."""
    chunks = [json.loads(e) for e in events(text) if e != "[DONE]"]
    return "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c.get("choices"))


async def test_a_stream_comes_through_as_the_client_asked(fleet: Any) -> None:
    """A stream carries every token and [DONE], no usage, although the engine was asked for usage."""
    pod = await fleet.add()
    status, text = await fleet.answer(pod, tokens=3)
    assert status == 200
    assert content(text) == " t1 t2 t3"
    assert events(text)[-1] == "[DONE]"
    assert "usage" not in text
    assert pod.engine.bodies[0]["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}


@pytest.mark.parametrize("continuous", [False, True])
async def test_usage_that_was_asked_for_stays(fleet: Any, continuous: bool) -> None:
    """A client that asked for usage gets it: at the end, or in every chunk, as it asked."""
    pod = await fleet.add()
    options = {"include_usage": True, "continuous_usage_stats": continuous}
    _, text = await fleet.answer(pod, tokens=2, stream_options=options)
    chunks = [json.loads(e) for e in events(text)[:-1]]
    assert chunks[-1]["usage"]["completion_tokens"] == 2
    assert all(("usage" in c) == continuous for c in chunks[:-1])


async def test_chunks_of_several_tokens_are_counted_right(fleet: Any, small_engine: Any) -> None:
    """Five tokens a chunk count as five, at the guard's counters and in what the predictor learns."""
    pod = await fleet.add(small_engine(tokens_a_chunk=5))
    await fleet.answer(pod, tokens=20)
    assert pod.metric("output_tokens_total") == 20
    assert [tokens for _, tokens in pod.predictor.seen] == [20]
    assert pod.metric("served_prompt_tokens_total") == 5


async def test_a_predictor_is_told_what_a_request_says(fleet: Any, small_engine: Any) -> None:
    """Temperature, format, tools, session and the engine's context reach the predictor."""
    pod = await fleet.add(small_engine(max_model_len=4096))
    said = {
        "temperature": 0,
        "response_format": {"type": "json_object"},
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "prompt_cache_key": "from the body",
    }
    await fleet.answer(pod, **said)
    await fleet.answer(pod, **said, headers={"x-presage-session": "from the header"})
    first, second = (features for features, _ in pod.predictor.seen)
    assert (first.temperature, first.response_format, first.tools) == (0.0, "json_object", True)
    assert (first.session, second.session) == ("from the body", "from the header")
    assert (first.context_tokens, first.max_tokens) == (4096, 4)
    assert pod.engine.bodies[0]["response_format"] == {"type": "json_object"}


async def test_learning_can_be_switched_off(fleet: Any) -> None:
    """With predictorLearns off the predictor is taught nothing, while errors are counted as ever."""
    pod = await fleet.add(config=fleet.config(predictorLearns=False))
    await fleet.answer(pod, tokens=6)
    assert pod.predictor.seen == []
    assert pod.metric("request_output_tokens_sum") == 6


async def test_the_error_of_predictions_is_counted(fleet: Any, fixed_length: Any) -> None:
    """Of each answered request the distance of the predicted median from the truth is added up."""
    pod = await fleet.add(predictor=fixed_length(8))
    for tokens in (20, 12, 9):  # what is predicted never exceeds what was asked for
        await fleet.answer(pod, tokens=tokens)
    assert pod.metric("predicted_length_absolute_error_tokens_total") == 12 + 4 + 1
    assert pod.metric("request_output_tokens_sum") == 20 + 12 + 9


async def test_context_cuts_where_the_engine_tells_it(
    fleet: Any, small_engine: Any, fixed_length: Any
) -> None:
    """Without max_tokens a prediction ends where the engine's context does, or nowhere when it is unknown."""
    told = await fleet.add(small_engine(max_model_len=400), predictor=fixed_length(5000))
    untold = await fleet.add(predictor=fixed_length(5000), publish=False)
    for pod in (told, untold):
        await fleet.answer(pod, tokens=None)
    assert told.metric("predicted_output_tokens_total") == 400 - told.metric("prompt_tokens_total")
    assert untold.metric("predicted_output_tokens_total") == 5000


async def test_an_engine_without_usage_is_counted_by_chunks(fleet: Any, small_engine: Any) -> None:
    """Where an engine sends no usage, chunks with content are counted."""
    pod = await fleet.add(small_engine(usage=False))
    await fleet.answer(pod, tokens=7)
    assert pod.metric("output_tokens_total") == 7


async def test_an_answer_that_does_not_stream(fleet: Any) -> None:
    """A whole answer travels back untouched and is counted by its usage."""
    pod = await fleet.add()
    status, text = await fleet.answer(pod, tokens=6, stream=False)
    assert (status, json.loads(text)["usage"]["completion_tokens"]) == (200, 6)
    assert pod.metric("output_tokens_total") == 6
    assert "stream_options" not in pod.engine.bodies[0]


async def test_fields_and_headers_that_nobody_knows_travel_untouched(fleet: Any) -> None:
    """Extra body fields and client headers reach the engine as they are; our own wire's do not."""
    pod = await fleet.add()
    sent = {"x-team": "blue", "Authorization": "Bearer k", "x-presage-length": "1", "x-request-id": "abc"}
    async with fleet.chat(pod, guided_json={"a": [1.5, None]}, headers=sent) as response:
        assert response.headers["x-request-id"] == "abc"
        await response.read()
    assert pod.engine.bodies[0]["guided_json"] == {"a": [1.5, None]}
    got = {k.lower(): v for k, v in pod.engine.headers[0].items()}
    assert (got["x-team"], got["authorization"], got["x-request-id"]) == ("blue", "Bearer k", "abc")
    assert not [name for name in got if name.startswith("x-presage")]


async def test_a_compressed_body_arrives_readable(fleet: Any) -> None:
    """A client may compress its body; the engine gets it plain, without a header that says otherwise."""
    pod = await fleet.add(config=fleet.config(maxBodyBytes=4096))
    body = gzip.compress(json.dumps({"messages": [], "max_tokens": 2, "note": "n" * 500}).encode())
    packed = {"Content-Encoding": "gzip"}
    async with fleet.client.post(pod.url + CHAT, data=body, headers=packed) as response:
        assert response.status == 200
    assert pod.engine.bodies[0]["note"] == "n" * 500
    bomb = gzip.compress(b" " * 1_000_000)
    async with fleet.client.post(pod.url + CHAT, data=bomb, headers=packed) as response:
        assert response.status == 413


async def test_the_engines_own_refusal_travels_back(fleet: Any, small_engine: Any) -> None:
    """An engine's 404 reaches the client as it is, and leaves nothing behind in the ledger."""
    pod = await fleet.add(small_engine(status=404))
    status, text = await fleet.answer(pod)
    assert (status, json.loads(text)["error"]["code"]) == (404, "no")
    assert len(pod.sidecar.guard.ledger) == 0
    assert pod.metric("requests_total", outcome="rejected") == 1


async def test_models_come_from_any_ready_peer(fleet: Any, small_engine: Any) -> None:
    """/v1/models is answered by the own engine, or by a peer's when the own one is not ready."""
    await fleet.add()
    unready = await fleet.add(small_engine(healthy=False), ready=False)
    await fleet.know_each_other()
    for pod in fleet.pods:
        async with fleet.client.get(pod.url + "/v1/models") as response:
            assert (response.status, (await response.json())["data"][0]["id"]) == (200, "test/model")
    assert not unready.sidecar.guard.open


@pytest.mark.parametrize(
    ("body", "told"),
    [(b"{oops", "not JSON"), (b"[1]", "JSON list"), (b"", "not JSON")],
)
async def test_bodies_that_are_no_json_object_are_refused(fleet: Any, body: bytes, told: str) -> None:
    """A body that is no JSON object gets a 400 in OpenAI's form that says what to send."""
    pod = await fleet.add()
    async with fleet.client.post(pod.url + CHAT, data=body) as response:
        error = (await response.json())["error"]
        assert response.status == 400
        assert told in error["message"]
        assert error["type"] == "invalid_request_error"


async def test_unknown_paths_are_answered_in_openais_form(fleet: Any) -> None:
    """A path that is not served gets 404 as JSON that lists what is."""
    pod = await fleet.add()
    async with fleet.client.get(pod.url + "/v1/chat/completions") as response:
        assert response.status == 404
        assert "POST /v1/chat/completions" in (await response.json())["error"]["message"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_beyond_the_limit_is_refused(fleet: Any, chunked: bool) -> None:
    """A body larger than maxBodyBytes gets 413 with the reason, whether or not it told its length."""
    pod = await fleet.add(config=fleet.config(maxBodyBytes=1024))

    async def pieces() -> Any:
        for _ in range(4):
            yield b" " * 600

    data = pieces() if chunked else b" " * 2400
    async with fleet.client.post(pod.url + CHAT, data=data) as response:
        assert response.status == 413
        assert response.headers["x-presage-reason"] == "body-too-large"


async def test_a_client_that_leaves_cancels_its_request(
    fleet: Any, small_engine: Any, eventually: Any
) -> None:
    """Closing the connection aborts the request at the engine at once, here and over a peer."""
    own = await fleet.add(small_engine(healthy=False), ready=False)
    served = await fleet.add()
    await fleet.know_each_other()
    served.engine.go_on.clear()
    for pod in (served, own):  # in process, and over the wire
        async with fleet.chat(pod, tokens=50) as response:
            await response.content.readany()
            assert served.engine.running == 1
            response.close()
        await eventually(lambda: served.engine.running == 0)
        await eventually(lambda pod=pod: pod.metric("requests_total", outcome="cancelled") == 1)
    assert served.engine.aborted == 2
    assert len(served.sidecar.guard.ledger) == 0
    assert [p.sidecar.front.relays for p in fleet.pods] == [0, 0]


async def test_an_engine_that_dies_mid_stream_is_told_of(fleet: Any, small_engine: Any) -> None:
    """A stream whose engine dies ends with an error event and without [DONE]; it counts as an error."""
    for changes in ({"die_after": 2}, {"end_early_after": 2}):
        pod = await fleet.add(small_engine(**changes))
    await fleet.know_each_other()
    for pod in fleet.pods:
        status, text = await fleet.answer(pod, tokens=9)
        last = json.loads(events(text)[-1])
        assert status == 200
        assert last["error"]["code"] == "upstream-failed"
        assert "[DONE]" not in text
    assert sum(p.metric("requests_total", outcome="error") for p in fleet.pods) == 2
    assert all(len(p.sidecar.guard.ledger) == 0 for p in fleet.pods)
    assert not any(p.predictor.seen for p in fleet.pods)


async def test_a_failure_before_the_first_token_is_retried_elsewhere(fleet: Any, eventually: Any) -> None:
    """A peer that is gone before the first token costs the client nothing: another instance answers."""
    first = await fleet.add()
    second = await fleet.add()
    await fleet.know_each_other()
    first.engine.first_token.clear()
    second.engine.first_token.clear()
    asked = asyncio.ensure_future(fleet.answer(first, tokens=3))
    await eventually(lambda: first.engine.running + second.engine.running == 1)
    busy, other = (first, second) if first.engine.running else (second, first)
    await busy.engine.stop()
    other.engine.first_token.set()
    status, text = await asked
    assert (status, content(text)) == (200, " t1 t2 t3")
    assert first.metric("retries_total") == 1
    assert first.metric("requests_total", outcome="ok") == 1


async def test_nobody_ready_is_said_clearly(fleet: Any, small_engine: Any) -> None:
    """Without any ready endpoint the client gets 503, a reason and Retry-After, and waits for nothing."""
    pod = await fleet.add(small_engine(healthy=False), ready=False)
    async with fleet.chat(pod) as response:
        assert response.status == 503
        assert response.headers["x-presage-reason"] == "no-endpoints"
        assert int(response.headers["Retry-After"]) >= 1
        assert "no instance" in (await response.json())["error"]["message"]
    assert pod.metric("requests_total", outcome="rejected") == 1


async def test_no_first_token_in_time(fleet: Any) -> None:
    """An engine that gives no first token in time costs a 504 with the reason, and is let go."""
    pod = await fleet.add(config=fleet.config(timeouts={"firstByteSeconds": 0.1}))
    pod.engine.first_token.clear()
    async with fleet.chat(pod) as response:
        assert response.status == 504
        assert response.headers["x-presage-reason"] == "upstream-timeout"
    assert len(pod.sidecar.guard.ledger) == 0


async def test_silence_mid_stream_ends_with_an_error_event(fleet: Any) -> None:
    """An engine that falls silent within a stream is given up after idleSeconds, and the client is told."""
    pod = await fleet.add(config=fleet.config(timeouts={"idleSeconds": 0.1}))
    pod.engine.go_on.clear()
    _, text = await fleet.answer(pod, tokens=5)
    assert "silent" in json.loads(events(text)[-1])["error"]["message"]


async def test_a_slow_reader_holds_nobody_up_and_nothing_in_memory(fleet: Any, small_engine: Any) -> None:
    """A client that does not read stops its own stream at the engine, while others are served."""
    engine = small_engine(token_seconds=0, padding=50_000)
    pod = await fleet.add(engine, fleet.config(timeouts={"idleSeconds": 30}))
    many = 4_000  # times 50 kB: far more than all socket buffers on the way hold
    async with fleet.chat(pod, tokens=many) as slow:
        await slow.content.read(1)
        stuck, before = 0.0, -1.0
        while stuck != before:
            await asyncio.sleep(0.3)
            stuck, before = pod.metric("output_tokens_total"), stuck
        assert stuck < many / 4
        status, _ = await fleet.answer(pod, tokens=3)
        assert status == 200
        slow.close()


async def test_explanations_on_request(fleet: Any) -> None:
    """With x-presage-explain the answer says who bid what, what was predicted and by which policy."""
    pod = await fleet.add()
    await fleet.add()
    await fleet.know_each_other()
    async with fleet.chat(pod, headers={"x-presage-explain": "1"}) as response:
        told = json.loads(response.headers["x-presage-explanation"])
    assert set(told["bids"]) == {p.id for p in fleet.pods}
    assert told["chosen"] in told["bids"]
    assert (told["policy"], told["predicted_output_tokens"]["mean"]) == ("LeastBid", 4.0)
    async with fleet.chat(pod) as response:
        assert "x-presage-explanation" not in response.headers


async def test_many_streams_half_of_them_cut(fleet: Any, small_engine: Any, eventually: Any) -> None:
    """Of many concurrent streams over two pods, half cut by the client, nothing is left and counts agree."""
    for _ in range(2):
        await fleet.add(small_engine(token_seconds=0.002))
    await fleet.know_each_other()

    async def one(number: int) -> None:
        async with fleet.chat(fleet.pods[number % 2], tokens=20) as response:
            if number % 4 < 2:
                await response.content.readany()
                response.close()
            else:
                assert (await response.text()).endswith("[DONE]\n\n")

    await asyncio.gather(*(one(n) for n in range(64)))
    await eventually(lambda: all(p.engine.running == 0 for p in fleet.pods))
    await eventually(lambda: all(len(p.sidecar.guard.ledger) == 0 for p in fleet.pods))
    total = {o: sum(p.metric("requests_total", outcome=o) for p in fleet.pods) for o in ("ok", "cancelled")}
    assert sum(total.values()) == 64
    assert total["ok"] >= 32
    for pod in fleet.pods:
        assert [pod.metric(n) for n in ("relays", "waiting_requests", "inflight_requests", "kv_usage")] == [
            0
        ] * 4
        assert pod.engine.most_running <= 8  # max_sequences: the engine itself never queued


async def test_predictor_failures_fall_back_and_show(fleet: Any) -> None:
    """A predictor that raises costs no request: the prior serves and a counter tells."""

    class Broken:
        tokens = 0

        def predict(self, features: Any) -> Any:
            raise ZeroDivisionError

        def observe(self, features: Any, output_tokens: int) -> None:
            raise ZeroDivisionError

    pod = await fleet.add(predictor=Broken())
    status, _ = await fleet.answer(pod)
    assert status == 200
    assert pod.metric("predictor_failures_total") == 2


async def test_priority_is_sent_only_where_the_engine_takes_it(fleet: Any) -> None:
    """The guard adds `priority` when configured, earlier arrivals lower; a client's own stays."""
    plain = await fleet.add()
    await fleet.answer(plain)
    assert "priority" not in plain.engine.bodies[0]
    ranked = await fleet.add(config=fleet.config(enginePriority=True), publish=False)
    await fleet.answer(ranked)
    await fleet.answer(ranked, stream=False)
    await fleet.answer(ranked, priority=-3)
    sent = [body["priority"] for p in fleet.pods[1:] for body in p.engine.bodies]
    assert sent[0] < sent[1]
    assert sent[2] == -3


async def test_every_series_exists_from_the_start(fleet: Any) -> None:
    """All listed counters are there with value 0, and every series names service and namespace."""
    pod = await fleet.add()
    async with fleet.client.get(pod.peer_url + "/metrics") as response:
        lines = [line for line in (await response.text()).splitlines() if not line.startswith("#")]
    assert all('service="chat"' in line and 'namespace="default"' in line for line in lines)
    names = {line.split("{")[0] for line in lines}
    for outcome in ("ok", "error", "rejected", "cancelled"):
        assert pod.metric("requests_total", outcome=outcome) == 0
    listed = """
        prompt_tokens_total predicted_output_tokens_total output_tokens_total served_prompt_tokens_total
        slo_requests_total ttft_seconds_bucket tpot_seconds_bucket e2e_seconds_bucket queue_seconds_bucket
        waiting_requests inflight_requests relays anticipated_overload anticipated_peak kv_usage
        predicted_length_error_tokens_bucket bids_total retries_total engine_ready
    """
    for name in listed.split():
        assert f"presage_router_{name}" in names


async def test_objectives_are_judged_from_the_arrival_at_the_front(fleet: Any, small_engine: Any) -> None:
    """A request counts as met or missed once, at the guard that served it."""
    strict = fleet.config(objectives={"ttftMilliseconds": 1, "tpotMilliseconds": 1})
    pod = await fleet.add(small_engine(token_seconds=0.01), strict)
    lax = await fleet.add(publish=False)
    await fleet.answer(pod, tokens=4)
    await fleet.answer(lax, tokens=4)
    counts = [sum(p.metric("slo_requests_total", met=m) for p in fleet.pods) for m in ("true", "false")]
    assert sum(counts) == 2
    assert pod.metric("slo_requests_total", met="false") + lax.metric("slo_requests_total", met="false") >= 1


async def test_kv_capacity_is_the_engines_own(fleet: Any, small_engine: Any) -> None:
    """KV capacity comes from the engine's metrics; the profile's serves where the engine tells none."""
    told = await fleet.add()
    assert told.sidecar.guard.ledger.kv_capacity_tokens == 16 * 256
    silent = await fleet.add(small_engine(metrics=""))
    assert silent.sidecar.guard.ledger.kv_capacity_tokens == 4096


async def test_readiness_follows_the_engine(fleet: Any, small_engine: Any, eventually: Any) -> None:
    """/readyz is 503 before the engine serves, 200 while it does, 503 once it refuses connections."""
    pod = await fleet.add(small_engine(healthy=False), ready=False)

    async def ready() -> int:
        async with fleet.client.get(pod.peer_url + "/readyz") as response:
            return int(response.status)

    assert await ready() == 503
    pod.engine.healthy = True
    await eventually(lambda: pod.sidecar.guard.open)
    assert await ready() == 200
    assert pod.metric("engine_ready") == 1
    await pod.engine.stop()
    await eventually(lambda: not pod.sidecar.guard.open)
    assert await ready() == 503
    async with fleet.client.get(pod.peer_url + "/livez") as response:
        assert response.status == 200
    await pod.engine.start(pod.engine.host, pod.engine.port)
    await eventually(lambda: pod.sidecar.guard.open)


async def test_a_connection_cut_by_a_peer_is_told_of(fleet: Any, small_engine: Any) -> None:
    """A sidecar that dies while it serves another's stream leaves that client a clear error event."""
    own = await fleet.add(small_engine(healthy=False), ready=False)
    serving = await fleet.add()
    await fleet.know_each_other()
    serving.engine.go_on.clear()
    async with fleet.chat(own, tokens=9) as response:
        await response.content.readany()
        await serving.sidecar.stop()
        text = (await response.content.read()).decode()
    assert json.loads(events(text)[-1])["error"]["code"] == "upstream-failed"
    with pytest.raises(aiohttp.ClientError):
        await fleet.client.get(serving.url + "/v1/models")
