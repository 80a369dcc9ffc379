"""A venue adapter for nautilus-mesh: replace the counter by your venue."""

from mesh_venue_template.adapter import TemplateDataClientConfig, TemplateDataClientFactory
from meshkit.nautilus.venue_adapter import VenueAdapter

ADAPTER = VenueAdapter(
    name="TEMPLATE",
    data_config=TemplateDataClientConfig,
    data_factory=TemplateDataClientFactory,
    secrets={"api_key": ("TEMPLATE_API_KEY",)},
    venues=("TEMPLATE",),
    notes=("It counts instead of trading.",),
)
