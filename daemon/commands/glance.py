"""One look at an inbox without a daemon: what it holds, as if everything in it had settled."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from config.problems import Problem, UserError
from config.settings import FolderSettings, Settings
from daemon.inbox.manner import manner_of, rules_of
from daemon.inbox.survey import Survey
from daemon.job import Plan
from daemon.trouble import trouble_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """A hot folder's inbox at one moment."""

    folder: FolderSettings
    plan: Plan
    survey: Survey


def glance(folder: FolderSettings, settings: Settings, default_steps: int) -> Glance:
    """Look at an inbox and change nothing; raises UserError where it cannot be read."""
    inbox = folder.root / "inbox"
    try:
        manner = manner_of(folder)
        survey = Survey(
            inbox,
            replace(rules_of(folder, manner, final=False), settle_seconds=0.0),
            settings=settings,
            default_steps=default_steps,
            trust_inodes=not manner.is_share,
        )
        plan = survey.take(time.monotonic())
    except OSError as error:
        advice = f"mount the share, or run `hotfolder init {folder.root}`"
        problem = Problem(str(inbox), trouble_of(error, folder.root).reason, advice)
        raise UserError([problem]) from error
    return Glance(folder=folder, plan=plan, survey=survey)
