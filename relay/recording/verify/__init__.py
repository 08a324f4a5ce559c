"""Verification: what a recording proves, held to limits. Needs the extra `verify`.

from relay.recording.verify import VerificationLimits, verify

verdict = verify("recordings/0123…", limits=VerificationLimits(max_av_offset=0.08))
verdict.exit_status, verdict.reasons
"""

from relay.recording.limits import LimitError, VerificationLimits, parse_limit
from relay.recording.verify.figures import VerificationReport
from relay.recording.verify.reference import ReferencePlan, write_reference
from relay.recording.verify.run import verify
from relay.recording.verify.verdict import VerificationResult

__all__ = [
    "LimitError",
    "ReferencePlan",
    "VerificationLimits",
    "VerificationReport",
    "VerificationResult",
    "parse_limit",
    "verify",
    "write_reference",
]
