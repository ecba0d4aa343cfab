# The learner's commands; `make` alone lists them. The work is done by the scripts in .ci/.
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
# Ninja and pytest use all cores by themselves; two of them in one build tree would disturb each other.
.NOTPARALLEL:

numbers := 1 2 3 4 5
present := $(foreach n,$(numbers),$(if $(wildcard exercises/ex$n_*/main.cpp),$n))
folder = $(notdir $(firstword $(wildcard exercises/ex$1_*)))
# Stops a recipe with a sentence when exercise $1 does not exist.
need = test -n '$(call folder,$1)' || { echo 'exercise $1 is not there yet: no folder exercises/ex$1_*' >&2; exit 1; }
build = .ci/build dev $1 || { echo >&2; echo 'error: $1 was not built: the first error above is the one to mend' >&2; exit 1; }
grade = .ci/python -m pytest harness/test_$(call folder,$1).py $2 $(ARGS)
packages = .ci/packages

starters := $(numbers:%=ex%)
runs := $(numbers:%=ex%-run)
grades := $(numbers:%=ex%-grade)
solutions := $(numbers:%=ex%-solution)
diffs := $(numbers:%=ex%-diff)
.PHONY: help $(starters) $(runs) $(grades) $(solutions) $(diffs) grade test prove soak bench clean

help:
	@echo 'make ex1             build the starter of exercise 1 (there are: $(present:%=ex%))'
	@echo 'make ex1-run         build it and run it (settings: make ex1-run PORT=9000 WORKERS=4)'
	@echo 'make ex1-grade       build it and grade it (the full waiting times: ARGS=--real-time)'
	@echo 'make ex1-diff        what the solution does differently'
	@echo 'make ex1-solution    build the solution and grade it'
	@echo 'make grade           build and grade every exercise (the solutions: SOLUTIONS=1)'
	@echo 'make test            all tests of this kit'
	@echo 'make prove           grade wrong programs: is each caught where it should be? (quicker: ARGS=--fast)'
	@echo 'make soak RUNS=10    grade programs again and again, on an idle and a loaded machine: is a verdict ever wrong?'
	@echo 'make bench           compare its speed with Node, gunicorn and nginx'
	@echo 'make clean           remove everything that was built'

$(starters): ex%:
	@$(call need,$*)
	@$(packages) learner
	@$(call build,$@)
	@echo 'built: build/bin/$@   run it: make $@-run   grade it: make $@-grade'
	@echo 'next:  exercises/$(call folder,$*)/README.md, then the steps in main.cpp beside it'

$(runs): ex%-run:
	@$(call need,$*)
	@$(packages) learner
	@$(call build,ex$*)
	@exec build/bin/ex$*

$(grades): ex%-grade:
	@$(call need,$*)
	@$(packages) learner
	@$(call build,ex$*)
	@$(call grade,$*)

$(solutions): ex%-solution:
	@$(call need,$*)
	@$(packages) learner
	@$(call build,ex$*-solution)
	@$(call grade,$*,--solution)

colour := $(if $(NO_COLOR),never,auto)
$(diffs): ex%-diff:
	@$(call need,$*)
	@diff -u --color=$(colour) exercises/$(call folder,$*)/main.cpp solutions/$(call folder,$*)/main.cpp; [ $$? -lt 2 ]

grade:
	@failed=; for n in $(present); do \
	  $(MAKE) ex$$n-$(if $(SOLUTIONS),solution,grade) || failed="$$failed ex$$n"; \
	done; [ -z "$$failed" ] || { echo "not all points:$$failed" >&2; exit 1; }

test:
	@$(packages) learner test soak
	@.ci/test $(ARGS)

prove:
	@$(packages) learner
	@.ci/python harness/prove.py $(ARGS)

RUNS := 1
soak:
	@$(packages) learner soak
	@.ci/python harness/soak.py --runs $(RUNS) $(ARGS)

bench:
	@$(packages) learner bench
	@.ci/build release ex1-solution ex2-solution ex4-solution ex5-solution cluster-bench-ipc cluster-bench-pool cluster-bench-beanstalk
	@.ci/python common/bench/bench.py $(ARGS)

clean:
	rm -rf build

# Anything else: say what there is. (Make looks for a way to remake this file, too.)
Makefile: ;
%:
	@echo "there is no command '$@'; make alone lists them" >&2; exit 2
