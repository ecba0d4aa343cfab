# The commands of one exercise, as they are called in its folder: make, make grade, make run … They
# are those of the kit's own Makefile, without the number. Each exercise's Makefile includes this.
folder := $(shell basename "$$(pwd)")
number := $(patsubst ex%,%,$(firstword $(subst _, ,$(folder))))
words := run grade hint watch play diff reset solution
ifeq ($(wildcard ../../harness/test_$(folder).py),)
  $(error $(folder) is a copy, and no exercise: what is built and graded is the folder that the \
  kit came with)
endif
MAKEFLAGS += --no-print-directory
.PHONY: build help $(words)

build:
	@$(MAKE) -C ../.. ex$(number)

$(words):
	@$(MAKE) -C ../.. ex$(number)-$@

help:
	@echo 'make            build exercise $(number)'
	@for word in $(words); do \
	  printf '%-15s as make %s in the folder of the kit\n' "make $$word" "ex$(number)-$$word"; \
	done

Makefile ../exercise.mk: ;
%:
	@echo "there is no command '$@' here; make help lists them" >&2; exit 2
