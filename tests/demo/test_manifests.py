"""The manifests: both services equal but for their policies, all valid by the API's own models."""

import json
from pathlib import Path

import pytest
from presage_cli.demo.manifests import ManifestError, Manifests
from presage_cli.demo.plan import Plan
from presage_crds import LLMService

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo"


@pytest.fixture
def manifests(plan: Plan) -> Manifests:
    """Fill the committed pages in."""
    return Manifests(DEMO / "manifests", plan, "image:tag", "prometheus:tag")


def test_the_services_differ_only_in_name_and_policies(manifests: Manifests, plan: Plan) -> None:
    """With its names replaced, one service's manifests become the other's, save two policy fields."""
    predictive, reactive = plan.services
    first = json.loads(json.dumps(manifests.service(predictive)).replace(predictive.name, reactive.name))
    second = manifests.service(reactive)
    mine, other = first[0]["spec"], second[0]["spec"]
    assert (mine["scaling"].pop("policy"), other["scaling"].pop("policy")) == ("PreServe", "HPA")
    assert (mine["routing"].pop("policy"), other["routing"].pop("policy")) == ("LeastBid", "LeastRequest")
    assert first == second
    assert {manifest["kind"] for manifest in second} == {"LLMService", "Service", "Deployment"}


def test_an_ablation_differs_in_what_is_left_out_alone(ablation: Plan) -> None:
    """Without forecasts only the forecast model differs, without lengths only the length predictor."""
    manifests = Manifests(DEMO / "manifests", ablation, "image:tag", "prometheus:tag")
    whole, less = ablation.services
    first = json.loads(json.dumps(manifests.service(whole)).replace(whole.name, less.name))
    second = manifests.service(less)
    mine, other = first[0]["spec"], second[0]["spec"]
    models = mine["scaling"]["forecast"].pop("model"), other["scaling"]["forecast"].pop("model")
    predictors = mine["routing"].pop("predictor"), other["routing"].pop("predictor")
    assert first == second
    assert (models, predictors) in {
        (("Auto", "LastValue"), ("History", "History")),
        (("Auto", "Auto"), ("History", "Prior")),
    }


def test_the_services_are_valid(manifests: Manifests, plan: Plan, ablation: Plan) -> None:
    """The API's strict models accept all of them, and they scale for themselves."""
    for service in (*plan.services, *ablation.services):
        (declared,) = [entry for entry in manifests.service(service) if entry["kind"] == "LLMService"]
        read = LLMService.from_object(declared)
        assert read.spec.scaling.mode == "Auto"
        assert read.spec.scaling.forecast.window_seconds == plan.window_seconds
        assert read.spec.scaling.forecast.season_seconds == plan.day_seconds


def test_every_object_is_in_the_demos_namespace(manifests: Manifests, plan: Plan) -> None:
    """Whatever is applied goes with the namespace when the demo ends."""
    data = manifests.data(DEMO / "data" / "shape.csv", DEMO / "data" / "lengths.csv")
    objects = [
        *manifests.namespace(),
        data,
        *manifests.service(plan.services[0]),
        *manifests.prometheus(1.0),
        *manifests.replay(1.0),
    ]
    for manifest in objects:
        if manifest["kind"] == "Namespace":
            assert manifest["metadata"]["name"] == plan.namespace
        else:
            assert manifest["metadata"]["namespace"] == plan.namespace


def test_the_pods_read_the_very_plan(manifests: Manifests, plan: Plan) -> None:
    """The ConfigMap holds the plan and both slices, within what a ConfigMap may hold."""
    data = manifests.data(DEMO / "data" / "shape.csv", DEMO / "data" / "lengths.csv")["data"]
    assert Plan.model_validate_json(data["plan.json"]) == plan
    assert sum(len(text) for text in data.values()) < 900_000


def test_history_and_replay_share_one_start(manifests: Manifests) -> None:
    """Both pods are told the same instant as the start of what counts."""
    pages = json.dumps([*manifests.prometheus(1_763_726_400.0), *manifests.replay(1_763_726_400.0)])
    assert pages.count("--starts-at=1763726400") == 2


def test_a_window_of_broken_seconds_is_refused(plan: Plan) -> None:
    """A time scale that makes windows fractional is refused with the fix."""
    odd = plan.model_copy(update={"trace": plan.trace.model_copy(update={"scale": 108.0})})
    with pytest.raises(ManifestError, match="time scale"):
        Manifests(DEMO / "manifests", odd, "i", "p").service(odd.services[0])


def test_an_unknown_placeholder_is_refused(tmp_path: Path, plan: Plan) -> None:
    """A page with a misspelt placeholder is refused by name."""
    (tmp_path / "namespace.yaml").write_text("metadata: {name: $nmaespace}\n")
    with pytest.raises(ManifestError, match="nmaespace"):
        Manifests(tmp_path, plan, "i", "p").namespace()
