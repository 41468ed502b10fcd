from distilleak.settings.base import Settings


class PolicySettings(Settings):
    pass
