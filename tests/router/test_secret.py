"""The emulated engine's secret reaches the engine and nothing else: no decision depends on it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import presage_router

SECRET = "x-emulated-output-tokens"


async def run_scenario(fleet: Any, names: list[str], secrets: list[str]) -> list[dict[str, Any]]:
    """Send equal requests in turn, each with its own secret; return all that was decided about them."""
    pods = [await fleet.add() for _ in names]
    await fleet.know_each_other()
    decided = []
    for number, secret in enumerate(secrets):
        text = "word " * (1 + number * 7 % 40)
        request = fleet.chat(
            pods[number % len(pods)],
            tokens=5,
            messages=[{"role": "user", "content": text}],
            headers={SECRET: secret, "x-presage-explain": "1", "x-presage-client": f"c{number % 3}"},
        )
        async with request as response:
            told = json.loads(response.headers["x-presage-explanation"])
            await response.read()
        rename = {pod.id: name for pod, name in zip(pods, names, strict=True)}
        decided.append(
            {
                "chosen": rename[told["chosen"]],
                "bids": {rename[peer]: bid for peer, bid in told["bids"].items()},
                "predicted": told["predicted_output_tokens"],
                "prompt_tokens": told["prompt_tokens"],
                "policy": told["policy"],
            }
        )
    arrived = [h[SECRET] for pod in pods for h in pod.engine.headers]
    assert sorted(arrived) == sorted(secrets)  # forwarded untouched, each exactly once
    return decided


async def test_no_decision_depends_on_the_true_length(fleet: Any, tmp_path: Path) -> None:
    """Two equal seeded scenarios that differ only in the secret header are decided alike throughout."""
    names = ["a", "b", "c"]
    first = await run_scenario(fleet, names, [str(n) for n in range(1, 25)])
    await fleet.close()
    again = type(fleet)(_fresh(tmp_path))
    try:
        second = await run_scenario(again, names, ["nonsense" if n % 2 else str(4096 - n) for n in range(24)])
    finally:
        await again.close()
    assert first == second
    assert len({d["chosen"] for d in first}) > 1


def test_the_router_does_not_even_know_the_header() -> None:
    """The header's name occurs nowhere in the router: it passes as any unknown header does."""
    sources = list(Path(presage_router.__file__).parent.rglob("*.py"))
    assert len(sources) > 20
    assert not [path for path in sources if "emulated" in path.read_text("utf-8").lower()]


def _fresh(folder: Path) -> Path:
    path = folder / "second"
    path.mkdir()
    return path


async def test_prompts_stay_out_of_logs_and_metrics(fleet: Any, capfd: Any) -> None:
    """No word of a prompt is in what the sidecar logs or exports."""
    pod = await fleet.add()
    await fleet.answer(pod, messages=[{"role": "user", "content": "grimalkin"}], user="zebra")
    await fleet.answer(pod, messages="grimalkin")
    await asyncio.sleep(0)
    out, err = capfd.readouterr()
    exported = pod.sidecar.metrics.exposition().decode()
    assert "grimalkin" not in out + err + exported
    assert "outcome" in out
