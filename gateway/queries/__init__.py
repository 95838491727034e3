"""Queries: read from the stores directly. One row an RPC, in the order of the protos."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from google.protobuf.message import Message

from gateway.operations.event_log import EventLogClient
from gateway.operations.longrunning import LongRunningOperations
from gateway.operations.tracker import OperationTracker
from gateway.queries.contents import ContentQueries
from gateway.queries.health import HealthQueries
from gateway.queries.operations import OperationQueries
from gateway.queries.payments import PaymentQueries
from gateway.queries.preferences import PreferencesQueries
from gateway.queries.recommendations import RecommendationQueries
from gateway.queries.sessions import SessionQueries
from gateway.queries.stores import Stores
from gateway.queries.subscriptions import SubscriptionQueries
from gateway.queries.users import UserQueries
from gateway.queries.views import ViewQueries

# (request, context): a coroutine, or an async generator where the RPC streams. Raises PolystreamError.
Handler = Callable[[Any, Any], Awaitable[Message] | AsyncIterator[Message]]


def build_queries(
    stores: Stores, tracker: OperationTracker, event_log: EventLogClient, health: HealthQueries
) -> Mapping[str, Handler]:
    """Return the handler of every RPC that is no command, by package.Service/Method.

    Those of `google.longrunning.Operations` are among them.
    """
    users = UserQueries(stores)
    subscriptions = SubscriptionQueries(stores)
    payments = PaymentQueries(stores)
    preferences = PreferencesQueries(stores)
    views = ViewQueries(stores)
    recommendations = RecommendationQueries(stores)
    contents = ContentQueries(stores)
    sessions = SessionQueries(stores)
    operations = OperationQueries(tracker, event_log)
    return {
        "polystream.v1.UserService/GetUser": users.get_user,
        "polystream.v1.UserService/ListUsers": users.list_users,
        "polystream.v1.SubscriptionService/GetSubscription": subscriptions.get_subscription,
        "polystream.v1.SubscriptionService/ListSubscriptions": subscriptions.list_subscriptions,
        "polystream.v1.PaymentService/GetPayment": payments.get_payment,
        "polystream.v1.PaymentService/ListPayments": payments.list_payments,
        "polystream.v1.PreferencesService/GetPreferences": preferences.get_preferences,
        "polystream.v1.ViewService/GetView": views.get_view,
        "polystream.v1.ViewService/ListViews": views.list_views,
        "polystream.v1.RecommendationService/GetRecommendations": recommendations.get_recommendations,
        "polystream.v1.ContentService/GetContent": contents.get_content,
        "polystream.v1.ContentService/ListContents": contents.list_contents,
        "polystream.v1.SessionService/GetSession": sessions.get_session,
        "polystream.v1.SessionService/ListSessions": sessions.list_sessions,
        "polystream.v1.OperationService/GetOperation": operations.get_operation,
        "polystream.v1.OperationService/WaitOperation": operations.wait_operation,
        "polystream.v1.OperationService/WatchOperation": operations.watch_operation,
        "polystream.v1.OperationService/ListOperations": operations.list_operations,
        "polystream.v1.OperationService/ListEvents": operations.list_events,
        "polystream.v1.OperationService/ListSpans": operations.list_spans,
        "polystream.v1.OperationService/ExplainOperation": operations.explain_operation,
        "polystream.v1.SystemService/GetHealth": health.get_health,
        **LongRunningOperations(tracker, event_log).handlers(),
    }
