# `make` alone lists the targets. `make demo` and `make test` first make .venv and install into it.
# Another interpreter: make demo PYTHON=python3.12
PYTHON ?= python3
BIN := .venv/bin
DEMO_CHILDREN ?= 60
DEMO_SEGMENTS ?= 10
# More flags of train_folds.py, such as --folds 3 --stgcn-mil.epochs 5
DEMO_FLAGS ?=
# More flags for the network of `make web`
WEB_FLAGS ?=
WEB_PACKAGES := $(addprefix input/models/,mediapipe-tasks-vision-0.10.21.tgz onnxruntime-web-1.30.0.tgz mediabunny-1.61.0.tgz)
START := $(shell date +%s)

.DEFAULT_GOAL := help
# A download that stopped in the middle is no package.
.DELETE_ON_ERROR:
.PHONY: help demo test test-fast check pose-model web web-packages

help:  ## Show this list.
	@echo "usage: make TARGET"
	@sed -n 's/^\([a-z][a-z-]*\):.*  ## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS="$$(printf '\t')" read -r name what; do printf '  %-12s %s\n' "$$name" "$$what"; done

demo: .venv/ready  ## Install, simulate children, train, predict and write a report: four minutes on two cores.
	@echo "step 1 of 3: simulate $(DEMO_CHILDREN) children into input/demo"
	$(BIN)/python src/simulate.py --out input/demo --children $(DEMO_CHILDREN) --segments-per-child $(DEMO_SEGMENTS) --seed 7
	@echo "step 2 of 3: train and evaluate three models, some minutes"
	$(BIN)/python src/train_folds.py --data input/demo --run output/demo --cache output/demo/cache $(DEMO_FLAGS)
	@echo "step 3 of 3: predict new children"
	$(BIN)/python submission.py --test input/demo/test --run output/demo --out output/demo/submission.csv
	@echo "demo:    done in $$(( ($$(date +%s) - $(START)) / 60 )) min; the result is in the frame above"
	@echo "next:    open output/demo/report.html in a browser, then put your own data into input/ (see README.md)"

# The package is Google's own for browsers, Apache-2.0.
pose-model: .venv/ready-video input/models/mediapipe-pose-0.5.1675469404.tgz  ## Build the pose models, for videos; needs npm.
	$(BIN)/python src/build_pose_models.py --package input/models/mediapipe-pose-0.5.1675469404.tgz --out input/models

input/models/mediapipe-pose-0.5.1675469404.tgz:
	mkdir -p input/models
	npm pack --silent --pack-destination input/models @mediapipe/pose@0.5.1675469404

# A network that learned from random convolutions too, because the page holds it alone.
web: .venv/ready-onnx input/models/pose_landmarker_lite.task $(WEB_PACKAGES)  ## Write output/web, a page that predicts in the browser; needs npm.
	@if [ ! -e output/demo/decision.json ]; then $(MAKE) demo; fi
	$(BIN)/python src/train_folds.py --data input/demo --run output/network --cache output/demo/cache --no-report \
		--folds-file output/demo/folds.csv --models stgcn_mil --stgcn-mil.loss taught $(WEB_FLAGS)
	$(BIN)/python src/export_web.py --run output/network --compare-with output/demo --out output/web

input/models/pose_landmarker_lite.task:
	$(MAKE) pose-model

web-packages: $(WEB_PACKAGES)  ## Get the npm packages of that page; needs npm.

input/models/mediapipe-tasks-vision-%.tgz:
	mkdir -p input/models
	npm pack --silent --pack-destination input/models @mediapipe/tasks-vision@$*

input/models/onnxruntime-web-%.tgz:
	mkdir -p input/models
	npm pack --silent --pack-destination input/models onnxruntime-web@$*

input/models/mediabunny-%.tgz:
	mkdir -p input/models
	npm pack --silent --pack-destination input/models mediabunny@$*

# In parallel, by file: otherwise the files of few tests, which take longest, would come last.
test: .venv/ready-dev  ## Run every test.
	$(BIN)/python -m pytest -n logical --dist loadfile --no-loadscope-reorder

# The tests that need no other process, browser or video; CONTRIBUTING.md describes them.
test-fast: .venv/ready-dev  ## Run the fast tests, while you work.
	$(BIN)/python -m pytest -m unit -n logical --dist worksteal

check: .venv/ready-dev  ## Check style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "error: Python 3.11, 3.12 or 3.13 is needed; name one: make demo PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo "error: no venv; on Debian: apt-get install python3-venv"; exit 1; }

.venv/ready: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/ready-video: requirements.txt requirements-video.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-video.txt
	@touch $@

.venv/ready-onnx: requirements.txt requirements-onnx.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-onnx.txt
	@touch $@

.venv/ready-dev: requirements.txt requirements-video.txt requirements-report.txt requirements-poses.txt requirements-cluster.txt requirements-onnx.txt requirements-dev.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
