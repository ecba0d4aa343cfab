# The learner's commands; `make` alone lists them. The work is done by the scripts in .ci/.
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
# Ninja and pytest use all cores by themselves. Two of them in one build tree would disturb each
# other.
.NOTPARALLEL:

numbers := 1 2 3 4 5
# An exercise has the name of its checklist. Other folders ex$1_* are somebody's copies.
folder = $(patsubst harness/test_%.py,%,$(firstword $(wildcard harness/test_ex$1_*.py)))
present := $(foreach n,$(numbers),$(if $(wildcard exercises/$(call folder,$n)/main.cpp),$n))
# Stops a recipe with a sentence when exercise $1 does not exist.
need = own='exercises/$(call folder,$1)'; test -f "$$own/main.cpp" || \
  { echo "exercise $1 is not there: no file $$own/main.cpp" >&2; exit 1; }; \
  for other in exercises/ex$1_*; do [ "$$other" = "$$own" ] || \
    printf 'ignored: %s (exercise $1 is %s)\n' "$$other" "$$own" >&2; done; \
  for other in "$$own"/*.cpp "$$own"/*.cc "$$own"/*.cxx "$$own"/*.c; do \
    [ "$$other" = "$$own/main.cpp" ] || [ ! -f "$$other" ] || printf 'not built: %s (the \
exercise is main.cpp alone; a header that it includes may stand beside it)\n' "$$other" >&2; done
# SANITIZE=address or thread: the program with that sanitizer, in a folder of its own.
tree := $(if $(SANITIZE),$(patsubst thread,tsan,$(patsubst address,asan,$(SANITIZE))),dev)
bin := build/$(if $(SANITIZE),$(tree)/)bin
build = case '$(SANITIZE)' in ''|address|thread) ;; \
  *) echo "SANITIZE is address or thread, not '$(SANITIZE)'" >&2; exit 2 ;; esac; \
  .ci/build $(tree) $1 || { echo >&2; \
  echo 'error: $1 was not built: the first error above is the one to mend' >&2; exit 1; }
start = .ci/python -m harness.system.quiet_start
grade = $(start) pytest harness/test_$(call folder,$1).py \
  $(if $(SANITIZE),--program $(bin)/ex$1$(if $2,-solution),$2) $(ARGS)
learner = $(start) harness.learner.commands
packages = .ci/packages

starters := $(numbers:%=ex%)
runs := $(numbers:%=ex%-run)
grades := $(numbers:%=ex%-grade)
solutions := $(numbers:%=ex%-solution)
hints := $(numbers:%=ex%-hint)
watches := $(numbers:%=ex%-watch)
plays := $(numbers:%=ex%-play)
diffs := $(numbers:%=ex%-diff)
resets := $(numbers:%=ex%-reset)
.PHONY: $(starters) $(runs) $(grades) $(solutions) $(hints) $(watches) $(plays) $(diffs) $(resets)
.PHONY: help progress grade test prove mutants cheats soak class class-test fuzz bench clean

help:
	@echo 'make ex1             build the starter of exercise 1 (there are: $(present:%=ex%))'
	@echo 'make ex1-run         build it and run it (settings: make ex1-run PORT=9000 WORKERS=4)'
	@echo 'make ex1-grade       build it and grade it (the full waiting times: ARGS=--real-time)'
	@echo '                     (these three with a sanitizer: SANITIZE=address, SANITIZE=thread)'
	@echo 'make ex1-hint        the next hint for what failed last'
	@echo 'make ex1-watch       build it and grade it whenever you save; Ctrl+C ends it'
	@echo 'make ex1-play        build it and run it, with a live picture in the browser and buttons'
	@echo '                     (the solution: SOLUTION=1; the port of the page: PLAY_PORT=9000)'
	@echo 'make ex1-diff        what the solution does differently (asks before you have 5 of 5,'
	@echo '                     unless FORCE=1)'
	@echo 'make ex1-reset       begin anew: main.cpp as it came, and yours beside it as main.cpp.old'
	@echo 'make ex1-solution    build the solution and grade it'
	@echo 'make progress        how far you are with each exercise'
	@echo 'make grade           build and grade every exercise (the solutions: SOLUTIONS=1)'
	@echo 'make test            all tests of this kit'
	@echo 'make prove           grade wrong programs: is each caught where it should be?'
	@echo '                     (quicker: ARGS=--fast)'
	@echo 'make cheats          grade programs that try to do harm: what do they gain? (five minutes)'
	@echo 'make mutants         change the solutions at every place: does the grader notice? (an hour)'
	@echo 'make soak RUNS=10    grade programs again and again, on an idle and a loaded machine:'
	@echo '                     is a verdict ever wrong?'
	@echo 'make class SUBMISSIONS=DIR OUT=DIR EX=1'
	@echo '                     grade a whole class (harness/classroom/README.md)'
	@echo 'make class-test      test that, on a Slurm cluster too, which is started here'
	@echo 'make gradescope EX=1 a grader for Gradescope (also: github-classroom, prairielearn)'
	@echo 'make fuzz SECONDS=60 feed the library made-up input, each part of it for so many seconds'
	@echo 'make bench           compare its speed with Node, gunicorn and nginx'
	@echo 'make clean           remove everything that was built (your progress and the counts of'
	@echo '                     make soak stay)'

$(starters): ex%:
	@$(call need,$*)
	@$(packages) learner
	@$(call build,$@)
	@echo 'built: $(bin)/$@   run it: make $@-run   grade it: make $@-grade'
	@echo 'next:  exercises/$(call folder,$*)/README.md, then the steps in main.cpp beside it'

$(runs): ex%-run:
	@$(call need,$*)
	@$(packages) learner
	@$(call build,ex$*)
	@exec $(bin)/ex$*

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

$(hints): ex%-hint:
	@$(call need,$*)
	@$(packages) learner
	@$(learner) hint $*

$(watches): ex%-watch:
	@$(call need,$*)
	@$(packages) learner
	@exec $(start) harness.learner.watch $*

$(plays): ex%-play:
	@$(call need,$*)
	@$(packages) learner
	@$(call build,ex$*$(if $(SOLUTION),-solution))
	@exec $(start) harness.learner.play.command $* $(if $(SOLUTION),--solution)

$(diffs): ex%-diff:
	@$(call need,$*)
	@$(packages) learner
	@$(learner) diff $* $(if $(FORCE),--force)

$(resets): ex%-reset:
	@$(packages) learner
	@$(learner) reset $*

progress:
	@$(packages) learner
	@$(learner) progress

grade:
	@failed=; for n in $(present); do \
	  $(MAKE) ex$$n-$(if $(SOLUTIONS),solution,grade) || failed="$$failed ex$$n"; \
	done; [ -z "$$failed" ] || { echo "not all points:$$failed" >&2; exit 1; }

test:
	@$(packages) learner class test fuzz soak foreign
	@.ci/test $(ARGS)

prove:
	@$(packages) learner foreign
	@$(start) harness.proof.prove $(ARGS)

mutants:
	@$(packages) learner test
	@.ci/build lint
	@$(start) harness.proof.mutants.command $(ARGS)

cheats:
	@$(packages) learner test
	@$(start) harness.proof.cheats.try_cheats $(ARGS)

class:
	@test -n "$$SUBMISSIONS" && test -n "$$OUT" || { echo 'error: say where the submissions are, \
and where the results go: make class SUBMISSIONS=DIR OUT=DIR EX=1' >&2; exit 2; }
	@$(packages) learner class
	@exec $(start) harness.classroom.command "$$SUBMISSIONS" "$$OUT" \
	  $${EX:+--exercise "$$EX"} $${POINTS:+--points "$$POINTS"} $${ONLY:+--only="$$ONLY"} \
	  $${ENGINE:+--engine "$$ENGINE"} $${FORCE:+--force} $(ARGS)

class-test:
	@$(packages) learner class test slurm
	@SLURM_TEST=1 $(start) pytest -q harness/tests/classroom $(ARGS)

systems := gradescope github-classroom prairielearn
.PHONY: $(systems)
$(systems):
	@test -n "$$EX" || { echo 'error: say which exercise: make $@ EX=1' >&2; exit 2; }
	@$(packages) learner
	@$(start) harness.classroom.wrap_kit $@ --exercise "$$EX"

RUNS := 1
soak:
	@$(packages) learner soak foreign
	@$(start) harness.proof.soak --runs $(RUNS) $(ARGS)

SECONDS := 60
fuzz:
	@$(packages) learner fuzz
	@.ci/fuzz '$(SECONDS)' $(ARGS)

bench:
	@$(packages) learner bench
	@.ci/build release ex1-solution ex2-solution ex4-solution ex5-solution \
	  cluster-bench-http cluster-bench-ipc cluster-bench-pool cluster-bench-beanstalk
	@.ci/python common/bench/bench.py $(ARGS)

clean:
	@[ ! -d build ] || find build -mindepth 1 -maxdepth 1 \
	  ! -name 'progress.json*' ! -name soak -exec rm -rf {} +
	@[ ! -f build/progress.json ] || \
	  echo 'kept: build/progress.json, what you have reached (remove it to begin anew)'
	@[ ! -d build/soak ] || echo 'kept: build/soak, the counts of make soak'

# Anything else: say what there is. (Make looks for a way to remake this file, too.)
Makefile: ;
%:
	@echo "there is no command '$@'; make alone lists them" >&2; exit 2
