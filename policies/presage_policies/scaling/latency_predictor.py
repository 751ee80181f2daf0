"""What a trained predictor would say of a request's latency as it arrives: a stand-in for llm-d's.

llm-d's router asks an XGBoost model, trained on its own engines, for the P90 of TTFT and TPOT given KV use,
queue, running requests and prompt. The model itself is not to be had; this is the steady state that the
present load would settle in, by the engine model: with n sequences decoding, each token of each pays for
1/O of a prefill, so t = c0 + n·(d + W/O); what does not fit in KV waits for others to end. Ours.

Its expected TTFT lies well below what engines show: Qwen3-32B on two H100 (silicon points of
ai-dynamo/aiconfigurator, vLLM 0.12, 4,096 prompt tokens, 1,024 output tokens) had a mean TTFT of 0.84 s and
0.98 s with 16 and 32 concurrent requests, where this says 0.26 and 0.28 s: 3.2 to 3.5 times as much, at the
mean. `TTFT_MARGIN` stands for the P90. It is the one constant that a rival was given so that its law behaves
as published; docs/evaluation/ramp.md shows what other values do.
"""

from presage_policies.engine import EngineProfile, RequestShape, decode_step, prefill_work
from presage_policies.scaling.policy import Observation
from presage_policies.scaling.samples import Samples

TTFT_MARGIN = 4.0  # P90 of TTFT over the expected one


def predicted_latency(
    observation: Observation, ttft_margin: float = TTFT_MARGIN
) -> tuple[float, float] | None:
    """Return the P90 over instances of TTFT and TPOT (s) of a request that arrives now; None = unknown."""
    prompt, output = observation.mean_prompt_tokens, observation.mean_output_tokens
    loads = [i.requests for i in observation.serving if i.requests is not None]
    if observation.engine is None or not prompt or not output or not loads:
        return None
    shape = RequestShape(max(1.0, prompt), max(1.0, output), 0.0, 0.0)
    found = [_on_one(observation.engine, shape, requests + 1) for requests in loads]
    ttft, tpot = (Samples(tuple((0.0, each[k]) for each in found)).quantile(0.9) for k in (0, 1))
    return None if ttft is None or tpot is None else (ttft_margin * ttft, tpot)


def _on_one(engine: EngineProfile, shape: RequestShape, requests: float) -> tuple[float, float]:
    """Return expected TTFT and TPOT (s) on an instance with so many requests, the new one among them."""
    slots = max(1.0, engine.kv_capacity_tokens / shape.held_tokens)
    running = min(requests, slots)
    work = prefill_work(engine, shape)
    iteration = engine.coefficients.fixed + running * (
        decode_step(engine, shape) + work / shape.output_tokens
    )
    ending = shape.output_tokens * iteration / running  # seconds from one end to the next
    return 1.5 * iteration + work + (requests - running) * ending, iteration
