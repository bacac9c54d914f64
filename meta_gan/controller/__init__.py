"""The reinforcement-learning controller of the inner loop: its policy, its training, and an environment for agents.

`AdaptationEnvironment` needs Gymnasium: `pip install 'meta-gan[rl]'`.
"""

from typing import Any

from meta_gan.controller.policy_gradient import PolicyGradient
from meta_gan.controller.schedule_controller import ScheduleController

__all__ = ["AdaptationEnvironment", "PolicyGradient", "ScheduleController"]


def __getattr__(name: str) -> Any:
    if name != "AdaptationEnvironment":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from meta_gan.controller.environment import AdaptationEnvironment

    return AdaptationEnvironment
