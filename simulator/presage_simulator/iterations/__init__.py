"""Engines iteration by iteration, under any scheduler: chunks, orders of prompts, silos against sharing."""

from presage_simulator.iterations.deployment import Deployment, EngineModel, Group, Scheduler
from presage_simulator.iterations.outcome import IterationsOutcome
from presage_simulator.iterations.run import simulate_iterations

__all__ = ["Deployment", "EngineModel", "Group", "IterationsOutcome", "Scheduler", "simulate_iterations"]
