# `make demo` shows the main job on real containers, `make test` runs every check. Both do all set-up themselves.

CARGO ?= cargo

.PHONY: build demo test deps bench clean-demo

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
	@tests/scripts/test-plugins.sh

deps:
	@tests/scripts/deps.sh

bench:
	@tests/scripts/setup.sh build
	$(CARGO) bench --locked

clean-demo:
	@tests/scripts/demo-service.sh down
	rm -rf target/demo
