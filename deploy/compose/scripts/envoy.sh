#!/usr/bin/env bash
# Runs Envoy so that a stop loses nothing, and tells whether it is well.
#
#   envoy.sh run ENVOY_ARGUMENTS   until SIGTERM or SIGINT: clients are asked to leave, requests under way are answered,
#                                  then Envoy ends. Envoy alone would cut them.
#   envoy.sh healthy               0 where it has found a gateway, at both of its ports: until then it answers 503.
#
# There is no curl in its image, Ubuntu, but the Perl that every Debian and Ubuntu has. ENVOY_ADMIN_SOCKET is the path of
# Envoy's admin socket, ENVOY_DRAIN_MAX_S how long requests may take to end.
set -uo pipefail

: "${ENVOY_ADMIN_SOCKET:?}"
drain_max_s="${ENVOY_DRAIN_MAX_S:?}"

# Prints the admin page's answer to METHOD PATH.
ask() {
  timeout 2 perl -MIO::Socket::UNIX -e '
    my $admin = IO::Socket::UNIX->new($ENV{ENVOY_ADMIN_SOCKET}) or exit 1;
    print $admin "$ARGV[0] $ARGV[1] HTTP/1.1\r\nHost: envoy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    $admin->flush;
    print while <$admin>;
  ' -- "$1" "$2"
}

healthy() {
  local clusters
  clusters="$(ask GET /clusters)" || return 1
  for cluster in gateway_grpc gateway_http; do
    grep -q "^$cluster::.*::health_flags::healthy" <<<"$clusters" || return 1
  done
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
