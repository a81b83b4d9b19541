"""The doctor: which challenges of gradient descent a run meets, by what signs, and what helps."""

from gdjax.doctor.case import Case
from gdjax.doctor.diagnosis import RULES, Diagnosis, diagnose, diagnose_sweep, examine
from gdjax.doctor.finding import Finding, Rule, rule

__all__ = [
    "RULES",
    "Case",
    "Diagnosis",
    "Finding",
    "Rule",
    "diagnose",
    "diagnose_sweep",
    "examine",
    "rule",
]
