#!/usr/bin/env bash
# Makes the images `runbook-test:1` and `runbook-test:2` on this machine: one static busybox, an HTTP server on 8080
# and a health check, so that the demo and the tests need no registry. Done before, it does nothing.
#
# What a container of it does is chosen by its environment:
#   START_DELAY=S    healthy only S seconds after its start
#   NEVER_HEALTHY=1  never healthy
#   HEAL_MARK=PATH   healthy only once PATH exists in the container
#   STOP_DELAY=S     takes S seconds to end after SIGTERM
#   IGNORE_TERM=1    does not end on SIGTERM
#   EXIT_AFTER=S     ends by itself after S seconds, with EXIT_CODE (0)
#   EAT_MB=N         holds N MB of memory
# Removing /www/health makes it unhealthy until its next start. Each start prints `life N`.
set -euo pipefail
cd "$(dirname "$0")/../.."

digest="$(sha256sum tests/scripts/image.sh | cut -c1-16)"
readonly digest

made() {
    [[ "$(docker image inspect --format '{{index .Config.Labels "runbook.test"}}' runbook-test:1 runbook-test:2 2>/dev/null)" \
        == "$digest"$'\n'"$digest" ]]
}

made && exit 0

busybox="$(command -v busybox)" || { echo "image: busybox is missing; call tests/scripts/setup.sh" >&2; exit 1; }
tree="$(mktemp -d)"
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{bin,etc,proc,sys,dev,tmp,var,www}
chmod 1777 "$tree/tmp"
cp "$busybox" "$tree/bin/busybox"
while read -r applet; do
    [[ "$applet" == busybox ]] || ln -s busybox "$tree/bin/$applet"
done < <("$busybox" --list)
printf 'root:x:0:0:root:/:/bin/sh\nservice:x:1000:1000::/:/bin/sh\n' >"$tree/etc/passwd"
printf 'root:x:0:\nservice:x:1000:\n' >"$tree/etc/group"

cat >"$tree/bin/serve" <<'SERVE'
#!/bin/sh
# What a container of the test image runs.
rm -f /www/health /dev/shm/eaten
life=$(($(cat /var/lives 2>/dev/null || echo 0) + 1))
echo "$life" >/var/lives
echo "life $life"
echo "warning of life $life" >&2

ready() {
    sleep "${START_DELAY:-0}"
    [ -z "$HEAL_MARK" ] || until [ -e "$HEAL_MARK" ]; do sleep 0.2; done
    echo ok >/www/health
}
[ -n "$NEVER_HEALTHY" ] || ready &
[ -z "$EAT_MB" ] || dd if=/dev/zero of=/dev/shm/eaten bs=1M count="$EAT_MB" 2>/dev/null

end() {
    sleep "${STOP_DELAY:-0}"
    echo "end of life $life"
    exit 0
}
if [ -n "$IGNORE_TERM" ]; then trap '' TERM; else trap end TERM; fi

httpd -f -p 8080 -h /www &
server=$!
if [ -n "$EXIT_AFTER" ]; then
    sleep "$EXIT_AFTER" &
    wait $!
    exit "${EXIT_CODE:-0}"
fi
# A trapped signal ends `wait`; an ignored one must not end the container.
while kill -0 $server 2>/dev/null; do wait $server; done
SERVE
chmod 755 "$tree/bin/serve"

for version in 1 2; do
    echo "version $version" >"$tree/www/index.html"
    tar -C "$tree" --owner=0 --group=0 --numeric-owner -c . | docker import \
        --change 'CMD ["serve"]' \
        --change 'ENV PATH=/bin' \
        --change "ENV TEST_VERSION=$version" \
        --change 'EXPOSE 8080' \
        --change "LABEL runbook.test=$digest" \
        --change 'HEALTHCHECK --interval=500ms --timeout=30s --retries=3 CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/health"]' \
        - "runbook-test:$version" >/dev/null
done
