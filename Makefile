# The verbs. How a machine is made ready is .ci/setup's business, how the code is built CMake's.
TORCH_VERSION ?= 2.13.0
TORCH_INDEX_URL ?= https://download.pytorch.org/whl/cpu
# cpu or cuda
TORCH ?= cpu
export TORCH_VERSION TORCH_INDEX_URL TORCH

.PHONY: help setup build test adapters test-consumers self-test prove-verify prove-compare demo bench bench-peers format clean

help:
	@echo 'make demo            naive and KV-cached generation side by side, on a real checkpoint'
	@echo 'make test            build everything and run the tests'
	@echo 'make adapters        install what the adapters in harness/adapters need; LLAMACPP=1 compiles llama.cpp too'
	@echo 'make test-consumers  tests against other people'\''s programs (as make adapters installs them)'
	@echo 'make self-test       plant every fault that kvproof verify must find, and a thousand runs without one, in both backends'
	@echo 'make prove-verify    300 quick verifications on fresh seeds: is there a false alarm? (resumable)'
	@echo 'make prove-compare   165 comparisons with and without a planted slow-down: is each verdict right? (over an hour; resumable)'
	@echo 'make bench           the microbenchmarks'
	@echo 'make bench-peers     llama.cpp, transformers and nanochat beside this engine (hours; resumable; PEERS=--quick)'
	@echo 'make build           build everything; the program is build/kvproof'
	@echo 'make setup           install what is missing, fetch LibTorch, configure'
	@echo 'make format          clang-format over the C++ sources'
	@echo 'make clean           remove the build folders (.deps, with LibTorch, stays)'
	@echo
	@echo 'LibTorch: one named by CMAKE_PREFIX_PATH or Torch_DIR is used; otherwise torch $(TORCH_VERSION) is'
	@echo 'fetched, the CPU build unless TORCH=cuda, from pip'\''s indexes or else from TORCH_INDEX_URL.'

setup:
	@.ci/setup

build: setup
	@cmake --build build

test: build
	@ctest --test-dir build --output-on-failure

adapters:
	@.ci/adapters

test-consumers: build
	@.ci/test-consumers

self-test: setup
	@cmake --build build --target kvproof
	@build/kvproof verify --self-test
	@build/kvproof verify --self-test --backend aten

prove-verify: setup
	@cmake --build build --target kvproof
	@build/kvproof verify --base-dir configs/checkpoints/demo-d4 --quick --threads 1 --sweeps 300 --log results/verify_sweeps.jsonl

prove-compare: setup
	@cmake --build build --target kvproof
	@build/kvproof compare configs/prove_compare.yaml --self-test --log results/compare_sessions.jsonl

demo: setup
	@cmake --build build --target kvproof
	@build/kvproof run configs/demo.yaml

bench: setup
	@cmake --build build --target kvproof-bench
	@build/kvproof-bench

bench-peers: setup
	@cmake --build build --target kvproof kvproof-bench
	@LLAMACPP=1 .ci/adapters
	@harness/peers/bench_peers.py $(PEERS)

format:
	@.ci/setup --packages clang-format
	@git ls-files -z --cached --others --exclude-standard '*.h' '*.cc' | xargs -0 clang-format -i

clean:
	@rm -rf build build-dev build-asan
