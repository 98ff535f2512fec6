"""What the spans are of: the service, named by OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, and its process."""

import os
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.sdk.resources import SERVICE_NAME, Resource

_OURS: Final = "serving-gateway"
_NAMELESS: Final = "unknown_service"

SCOPE: Final = "gateway"


def resource_attributes() -> Mapping[str, Any]:
    """The attributes of the resource of this process."""
    attributes = dict(Resource.create({"process.pid": os.getpid()}).attributes)
    if str(attributes[SERVICE_NAME]).startswith(_NAMELESS):
        attributes[SERVICE_NAME] = _OURS
    return attributes
