"""The Portuguese words that the stores hold for enum values: inherited, and the same for writers and readers."""

from collections.abc import Mapping
from typing import Final, Generic, TypeVar

from polystream.v1.contents_pb2 import Content
from polystream.v1.payments_pb2 import Payment
from polystream.v1.preferences_pb2 import Preferences
from polystream.v1.recommendations_pb2 import Recommendations
from polystream.v1.sessions_pb2 import Session
from polystream.v1.subscriptions_pb2 import Subscription

_E = TypeVar("_E", bound=int)


class StoredEnum(Generic[_E]):
    """One enum as the stores hold it: a text for each value but the zero value, `unspecified`."""

    def __init__(self, texts: Mapping[_E, str], unspecified: _E) -> None:
        self._texts = dict(texts)
        self._values = {text: value for value, text in texts.items()}
        self._unspecified = unspecified

    def text(self, value: _E) -> str:
        """Return what a store holds for the value. Raises KeyError for the zero value: validation refuses it."""
        return self._texts[value]

    def value(self, text: str | None) -> _E:
        """Return the value that a store's text stands for; the zero value where somebody wrote another text."""
        return self._unspecified if text is None else self._values.get(text, self._unspecified)


KINDS: Final = StoredEnum(
    {
        Content.Kind.MOVIE: "filme",
        Content.Kind.SERIES: "série",
        Content.Kind.DOCUMENTARY: "documentário",
    },
    Content.Kind.KIND_UNSPECIFIED,
)
PLANS: Final = StoredEnum(
    {
        Subscription.Plan.BASIC: "básico",
        Subscription.Plan.STANDARD: "padrão",
        Subscription.Plan.PREMIUM: "premium",
    },
    Subscription.Plan.PLAN_UNSPECIFIED,
)
SUBSCRIPTION_STATES: Final = StoredEnum(
    {
        Subscription.State.ACTIVE: "ativa",
        Subscription.State.CANCELED: "cancelada",
        Subscription.State.EXPIRED: "expirada",
    },
    Subscription.State.STATE_UNSPECIFIED,
)
PAYMENT_METHODS: Final = StoredEnum(
    {
        Payment.Method.PIX: "pix",
        Payment.Method.CREDIT_CARD: "cartão de crédito",
        Payment.Method.DEBIT_CARD: "cartão de débito",
        Payment.Method.BOLETO: "boleto",
    },
    Payment.Method.METHOD_UNSPECIFIED,
)
PAYMENT_STATES: Final = StoredEnum(
    {
        Payment.State.APPROVED: "aprovado",
        Payment.State.CANCELED: "estornado",
    },
    Payment.State.STATE_UNSPECIFIED,
)
THEMES: Final = StoredEnum(
    {
        Preferences.Theme.LIGHT: "claro",
        Preferences.Theme.DARK: "escuro",
        Preferences.Theme.SYSTEM: "sistema",
    },
    Preferences.Theme.THEME_UNSPECIFIED,
)
DEVICES: Final = StoredEnum(
    {
        Session.Device.TV: "tv",
        Session.Device.MOBILE: "celular",
        Session.Device.WEB: "navegador",
        Session.Device.CONSOLE: "console",
    },
    Session.Device.DEVICE_UNSPECIFIED,
)
RECOMMENDATION_REASONS: Final = StoredEnum(
    {
        Recommendations.Item.Reason.CO_VIEWED: "visto por quem viu o mesmo",
        Recommendations.Item.Reason.KIND_AFFINITY: "afinidade de tipo",
        Recommendations.Item.Reason.POPULAR: "popular",
    },
    Recommendations.Item.Reason.REASON_UNSPECIFIED,
)
