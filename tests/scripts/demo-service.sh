#!/usr/bin/env bash
# The service of the demo: three replicas of `shop/web`, labelled as Compose labels them. `up` starts it afresh and
# waits until it is healthy, `down` removes it.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly replicas=3
readonly patience_s=60

names() { seq -f 'shop-web-%g' "$replicas"; }

down() { names | xargs docker rm --force >/dev/null 2>&1 || true; }

up() {
    local number name waited=0
    tests/scripts/image.sh
    down
    for number in $(seq "$replicas"); do
        docker run --detach --name "shop-web-$number" \
            --label com.docker.compose.project=shop \
            --label com.docker.compose.service=web \
            --label "com.docker.compose.container-number=$number" \
            --env START_DELAY="${START_DELAY:-1}" \
            runbook-test:1 >/dev/null
    done
    for name in $(names); do
        until [[ "$(docker inspect --format '{{.State.Health.Status}}' "$name")" == healthy ]]; do
            ((waited++ < patience_s * 5)) || { echo "demo: $name is not healthy after ${patience_s} s" >&2; exit 1; }
            sleep 0.2
        done
    done
}

case "${1:-}" in
up) up ;;
down) down ;;
*) echo "usage: demo-service.sh up|down" >&2; exit 2 ;;
esac
