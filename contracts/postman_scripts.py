"""The scripts of the Postman collection's requests."""

from collections.abc import Mapping, Sequence
from typing import Final

# Sends a request on the way to another; what goes wrong there fails the run.
_SEND: Final = """\
function send(method, path, body, then) {
  pm.sendRequest({
    url: pm.variables.replaceIn(`{{base_url}}${path}`),
    method,
    header: { "content-type": "application/json" },
    body: body ? { mode: "raw", raw: JSON.stringify(body) } : undefined,
  }, (error, response) => {
    if (error || response.code !== 200) {
      throw new Error(`${method} ${path}: ${error || response.text()}`);
    }
    then(response.json());
  });
}

function done(accepted, then) {
  send("POST", `/v1/operations/${accepted.correlation_id}:wait`, { timeout: "10s" }, then);
}
"""
# How each variable that no one sets comes to its value.
_MAKERS: Final[Mapping[str, str]] = {
    "correlation_id": """\
send("POST", "/cache/conteudo/{{content_id}}", null, (accepted) => done(accepted, () => {
  pm.collectionVariables.set("correlation_id", accepted.correlation_id);
}));
""",
    "told_correlation_id": """\
send("POST", "/cache/conteudo/{{content_id}}", null, (accepted) => {
  pm.collectionVariables.set("told_correlation_id", accepted.correlation_id);
  // The event log has it a moment later.
  const look = (triesLeft) => pm.sendRequest(
    pm.variables.replaceIn(`{{base_url}}/v1/operations/${accepted.correlation_id}:explain`),
    (error, response) => {
      if ((error || response.code !== 200) && triesLeft > 0) setTimeout(() => look(triesLeft - 1), 250);
    },
  );
  look(40);
});
""",
    "subscription_id": """\
send("POST", "/usuarios/{{user_id}}/assinatura", null, (accepted) => done(accepted, (operation) => {
  pm.collectionVariables.set("subscription_id", operation.result.subscription_id);
}));
""",
    "payment_id": """\
send("POST", "/usuarios/{{user_id}}/pagamento", null, (accepted) => done(accepted, (operation) => {
  pm.collectionVariables.set("payment_id", operation.result.payment_id);
}));
""",
    "view_id": """\
send("POST", "/historico-visualizacao?user_id={{user_id}}&conteudo_id=5678", null, (accepted) => done(accepted, () => {
  pm.collectionVariables.set("view_id", accepted.correlation_id);
}));
""",
    "session_id": """\
const session = { user_id: pm.variables.get("user_id"), device: "TV" };
send("POST", "/v1/sessions", session, (accepted) => done(accepted, () => {
  pm.collectionVariables.set("session_id", accepted.correlation_id);
}));
""",
    "new_user_id": """\
send("POST", "/usuarios", null, (accepted) => done(accepted, (operation) => {
  pm.collectionVariables.set("new_user_id", operation.user_id);
}));
""",
    "new_content_id": """\
const newContentId = String(1_000_000 + Math.floor(Math.random() * 1_000_000_000));
send("POST", `/cache/conteudo/${newContentId}`, null, (accepted) => done(accepted, () => {
  pm.collectionVariables.set("new_content_id", newContentId);
}));
""",
    "new_email": """\
pm.collectionVariables.set("new_email", pm.variables.replaceIn("ana.{{$guid}}@example.com"));
""",
    "new_cpf": """\
const digits = Array.from({ length: 9 }, () => Math.floor(Math.random() * 10));
digits[8] = digits[8] === digits[0] ? (digits[0] + 1) % 10 : digits[8]; // eleven equal digits are no CPF
for (let check = 0; check < 2; check += 1) {
  const sum = digits.reduce((total, digit, place) => total + digit * (digits.length + 1 - place), 0);
  digits.push(sum * 10 % 11 % 10);
}
pm.collectionVariables.set("new_cpf", digits.join(""));
""",
}
_ANSWERED: Final = """\
pm.test("answers 200", () => pm.response.to.have.status(200));
pm.test("has a correlation ID", () => {
  pm.expect(pm.response.headers.get("x-correlation-id")).to.match(/^[0-9a-f-]{36}$/);
});
"""
_TESTS: Final[Mapping[str, str]] = {
    "query": _ANSWERED,
    "stream": _ANSWERED
    + """\
pm.test("ends with the operation done", () => {
  const lines = pm.response.text().trim().split("\\n");
  pm.expect(JSON.parse(lines[lines.length - 1]).state).to.equal("SUCCEEDED");
});
""",
    "command": _ANSWERED
    + """\
const accepted = pm.response.json();
pm.test("names the operation", () => {
  pm.expect(accepted.correlation_id).to.equal(pm.response.headers.get("x-correlation-id"));
  pm.expect(accepted.name).to.equal(`operations/${accepted.correlation_id}`);
});
pm.test("the operation succeeds", (finish) => {
  pm.sendRequest({
    url: pm.variables.replaceIn(`{{base_url}}/v1/operations/${accepted.correlation_id}:wait`),
    method: "POST",
    header: { "content-type": "application/json" },
    body: { mode: "raw", raw: JSON.stringify({ timeout: "10s" }) },
  }, (error, response) => {
    pm.expect(error).to.equal(null);
    pm.expect(response.json().state, response.text()).to.equal("SUCCEEDED");
    finish();
  });
});
""",
}


def preparation(variables: Sequence[str]) -> str:
    """Return the script that gives these variables their values; empty where a user sets them all."""
    makers = [_MAKERS[name] for name in variables if name in _MAKERS]
    return "\n".join([*([_SEND] if any("send(" in maker for maker in makers) else []), *makers])


def tests(kind: str) -> str:
    """Return the tests of a `query`, a `stream` or a `command`."""
    return _TESTS[kind]
