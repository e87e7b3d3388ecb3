"""All feature views and feature services by name, checked when this is imported."""

from __future__ import annotations

from include.features.definitions.service import FeatureService
from include.features.definitions.view import BadDefinition, FeatureView
from include.features.views.customer_activity import CUSTOMER_ACTIVITY
from include.features.views.customer_basket import CUSTOMER_BASKET
from include.features.views.customer_context import CUSTOMER_CONTEXT
from include.features.views.customer_engagement import CUSTOMER_ENGAGEMENT
from include.features.views.customer_lifetime import CUSTOMER_LIFETIME
from include.features.views.customer_rfm import CUSTOMER_RFM
from include.features.views.product_demand import PRODUCT_DEMAND


class UnknownFeature(LookupError):
    """A feature view, a feature or a feature service of that name is not registered."""


class Registry:
    """Feature views and services by name.

    :raises BadDefinition: a name stands twice, two views have a feature of one name, or a service wants what no view
        has.
    """

    def __init__(self, *, views: tuple[FeatureView, ...], services: tuple[FeatureService, ...] = ()) -> None:
        self.views = {view.name: view for view in views}
        self.services = {service.name: service for service in services}
        if len(self.views) < len(views) or len(self.services) < len(services):
            raise BadDefinition("Two feature views, or two feature services, have one name.")
        owners: dict[str, FeatureView] = {}
        for view in views:
            for name in view.feature_names:
                if name in owners:
                    raise BadDefinition(
                        f"The feature {name!r} is in {owners[name]} and in {view}. Give one another name."
                    )
                owners[name] = view
        for service in services:
            for wanted in service.features:
                try:
                    self.features_of(wanted)
                except UnknownFeature as error:
                    raise BadDefinition(f"The feature service {service.name!r} wants {wanted!r}. {error}") from error

    def view(self, name: str) -> FeatureView:
        """:raises UnknownFeature: there is none of that name."""
        try:
            return self.views[name]
        except KeyError:
            known = ", ".join(self.views)
            raise UnknownFeature(f"There is no feature view {name!r}. There are: {known}.") from None

    def service(self, name: str) -> FeatureService:
        """:raises UnknownFeature: there is none of that name."""
        try:
            return self.services[name]
        except KeyError:
            known = ", ".join(self.services) or "none"
            raise UnknownFeature(f"There is no feature service {name!r}. There are: {known}.") from None

    def features_of(self, wanted: str) -> tuple[FeatureView, tuple[str, ...]]:
        """A view and the names of the features that `view` (all of them) or `view:feature` means.

        :raises UnknownFeature: the view or the feature is not registered.
        """
        name, _, feature = wanted.partition(":")
        view = self.view(name)
        if feature and feature not in view.feature_names:
            known = ", ".join(view.feature_names)
            raise UnknownFeature(f"The feature view {name} has no feature {feature!r}. It has: {known}.")
        return view, (feature,) if feature else view.feature_names


REGISTRY = Registry(
    views=(
        CUSTOMER_RFM,
        CUSTOMER_ACTIVITY,
        CUSTOMER_LIFETIME,
        CUSTOMER_BASKET,
        CUSTOMER_ENGAGEMENT,
        CUSTOMER_CONTEXT,
        PRODUCT_DEMAND,
    ),
    services=(
        FeatureService(
            name="churn",
            features=(
                "customer_rfm",
                "customer_activity",
                "customer_lifetime",
                "customer_basket",
                "customer_engagement",
            ),
            description="What the churn model learns from and scores by.",
            owner="growth",
        ),
    ),
)
FEATURE_VIEWS = REGISTRY.views
