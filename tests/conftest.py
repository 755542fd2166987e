"""Settings of the whole suite."""

from hypothesis import HealthCheck, settings

# Examples may take long on a busy machine; no test is about time.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
