#!/usr/bin/env bash
# Runs Envoy so that a stop loses nothing, and tells whether it is well.
#
#   envoy.sh run ENVOY_ARGUMENTS   until SIGTERM or SIGINT: clients are asked to leave, requests under way are answered,
#                                  then Envoy ends. Envoy alone would cut them.
#   envoy.sh healthy               0 where it has found a gateway: until then it would answer 503.
#
# There is no curl in its image, but bash, which speaks TCP. ENVOY_ADMIN_PORT is the admin port on the loopback
# interface, ENVOY_DRAIN_MAX_S how long requests may take to end.
set -uo pipefail

admin_port="${ENVOY_ADMIN_PORT:?}"
drain_max_s="${ENVOY_DRAIN_MAX_S:?}"

# Prints the admin page's answer to METHOD PATH.
ask() {
  local connection
  exec {connection}<>"/dev/tcp/127.0.0.1/$admin_port" || return 1
  printf '%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n' "$1" "$2" >&"$connection"
  timeout 2 cat <&"$connection"
  exec {connection}>&-
}

healthy() {
  ask GET /clusters | grep -q '^gateway::.*::health_flags::healthy'
}

requests_under_way() {
  ask GET '/stats?filter=^http.edge.downstream_rq_active$' | grep -q 'downstream_rq_active: [1-9]'
}

run() {
  envoy "$@" &
  local envoy_pid=$!
  trap 'stop "$envoy_pid"' TERM INT
  # The first wait ends with the signal, after the trap; the second one gives Envoy's own exit code.
  wait "$envoy_pid"
  wait "$envoy_pid"
}

stop() {
  local deadline=$((SECONDS + drain_max_s))
  trap '' TERM INT
  if ask POST '/drain_listeners?graceful&skip_exit' >/dev/null 2>&1; then
    while requests_under_way && ((SECONDS < deadline)); do
      sleep 0.1
    done
  fi
  kill -TERM "$1" 2>/dev/null
}

case "${1:-}" in
  run) shift && run "$@" ;;
  healthy) healthy 2>/dev/null ;;
  *) echo "envoy.sh run ARGUMENTS | healthy" >&2 && exit 2 ;;
esac
