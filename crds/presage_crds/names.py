"""The names under which Kubernetes knows this API."""

GROUP = "presage.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "LLMService"
LIST_KIND = "LLMServiceList"
PLURAL = "llmservices"
SINGULAR = "llmservice"
SHORT_NAMES = ("llmsvc",)
CATEGORIES = ("all", "inference")
CRD_NAME = f"{PLURAL}.{GROUP}"

SERVICE_LABEL = f"{GROUP}/service"
"""Label of a service's pods; its value is the name of the LLMService."""
