# `make demo` shows the main job on real containers, `make test` runs every check. Both do all set-up themselves.

CARGO ?= cargo

.PHONY: build demo test sweep away endings copies fuzz deps bench compare clean-demo

build:
	@tests/scripts/setup.sh build
	$(CARGO) build --release --locked

demo:
	@tests/scripts/setup.sh demo
	@tests/scripts/demo.sh

test:
	@tests/scripts/setup.sh test
	@tests/scripts/image.sh
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings
	$(CARGO) test --locked
	$(CARGO) test --locked -p runbook-audit --features fault -- faults
	@tests/scripts/test-plugins.sh

# Kills the engine everywhere, for an hour: `make sweep SWEEP="--minutes 10 --shape restart"`. Called again, it goes on.
sweep:
	@tests/scripts/setup.sh test
	@tests/scripts/image.sh
	$(CARGO) test --profile quick --locked --test sweep -- $(SWEEP)

# The daemon away for 1, 5 and 15 s at each request: `make away AWAY="--shape restart --seconds 5"`.
away:
	@tests/scripts/setup.sh test
	@tests/scripts/image.sh
	$(CARGO) test --profile quick --locked --test away -- $(AWAY)

# Commands ended by signals, terminals and time limits: `make endings ENDINGS="--shape restart --manner Terminate"`.
endings:
	@tests/scripts/setup.sh test
	@tests/scripts/image.sh
	$(CARGO) test --profile quick --locked --test endings -- $(ENDINGS)

# Every odd container is copied, on two versions of Docker.
copies:
	@tests/scripts/setup.sh test
	@tests/scripts/image.sh
	$(CARGO) test --locked --test copies

# Feeds every parser of outside bytes, for some minutes each: `make fuzz FUZZ="10 runbooks events"`.
fuzz:
	@tests/scripts/setup.sh build
	@tests/scripts/fuzz.sh $(FUZZ)

deps:
	@tests/scripts/deps.sh

# What the engine costs: `make bench BENCH="step old-age"`; `all` also measures what takes minutes. With `PROFILE=bench` of a
# release build, as the figures in docs/performance.md are.
bench: PROFILE ?= quick
bench:
	@tests/scripts/setup.sh build
	$(CARGO) bench --profile $(PROFILE) --locked -- $(BENCH)

# The same work on others, installed into target/compare: `make compare COMPARE="dbos restate"`.
compare:
	@tests/scripts/setup.sh build
	$(CARGO) build --release --locked
	@tests/scripts/compare.sh $(COMPARE)

clean-demo:
	@tests/scripts/demo-service.sh down
	rm -rf target/demo
