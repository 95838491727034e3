"""Every service of the API. Generated from the protos: do not edit."""

from polystream_sdk.calls import ClientCalls
from polystream_sdk.services.contents import ContentService
from polystream_sdk.services.operations import OperationService
from polystream_sdk.services.payments import PaymentService
from polystream_sdk.services.preferences import PreferencesService
from polystream_sdk.services.recommendations import RecommendationService
from polystream_sdk.services.sessions import SessionService
from polystream_sdk.services.subscriptions import SubscriptionService
from polystream_sdk.services.system import SystemService
from polystream_sdk.services.users import UserService
from polystream_sdk.services.views import ViewService


class Services:
    """Has every service of the API."""

    def __init__(self, calls: ClientCalls) -> None:
        self.contents = ContentService(calls)
        """The content cache. Stored in Redis, one hash `conteudo:{content_id}` each."""
        self.operations = OperationService(calls)
        """What became of a command. The same operations are served to standard clients by
        `google.longrunning.Operations`.
        """
        self.payments = PaymentService(calls)
        """Payments. Stored in PostgreSQL, table `pagamentos`."""
        self.preferences = PreferencesService(calls)
        """A user's settings. Stored in PostgreSQL, table `preferencias`."""
        self.recommendations = RecommendationService(calls)
        """Recommendations, computed from the viewing history. Stored in MongoDB, collection `recomendacoes`."""
        self.sessions = SessionService(calls)
        """Signed-in devices. Stored in Redis, one hash `sessao:{session_id}` each."""
        self.subscriptions = SubscriptionService(calls)
        """Subscriptions to a plan. Stored in PostgreSQL, table `assinaturas`."""
        self.system = SystemService(calls)
        """The platform itself."""
        self.users = UserService(calls)
        """The people who use the platform. Stored in PostgreSQL, table `usuarios`."""
        self.views = ViewService(calls)
        """Viewing history. Stored in MongoDB, collection `historico_visualizacao`."""
