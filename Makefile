# `make demo` shows the main job on real containers, `make test` runs every check. Both do all set-up themselves.

CARGO ?= cargo

.PHONY: build demo test deps bench clean-demo

build:
	@scripts/setup.sh build
	$(CARGO) build --release --locked

demo:
	@scripts/setup.sh demo
	@scripts/demo.sh

test:
	@scripts/setup.sh test
	@scripts/image.sh
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings
	$(CARGO) test --locked
	@scripts/test-plugins.sh

deps:
	@scripts/deps.sh

bench:
	@scripts/setup.sh build
	$(CARGO) bench --locked

clean-demo:
	@scripts/demo-service.sh down
	rm -rf target/demo
