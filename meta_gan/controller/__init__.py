"""The reinforcement-learning controller of the inner loop: its policy, its training, and an environment for agents."""

from meta_gan.controller.environment import AdaptationEnvironment
from meta_gan.controller.policy_gradient import PolicyGradient
from meta_gan.controller.schedule_controller import ScheduleController

__all__ = ["AdaptationEnvironment", "PolicyGradient", "ScheduleController"]
