"""Methods x folds x seeds as independent, restartable trainings, and what may be concluded from them."""

from triplenet.benchmark.execution import Benchmark, Machine, run_benchmark
from triplenet.benchmark.plan import NotRun, Plan, make_plan
from triplenet.training.job import Job

__all__ = ["Benchmark", "Job", "Machine", "NotRun", "Plan", "make_plan", "run_benchmark"]
