#!/usr/bin/env bash
# PrairieLearn: the entrypoint of an external grader whose image has the built kit in /kit.
set -euo pipefail
grade=${GRADE:-/grade}
mkdir -p "$grade/results"
cd "${KIT:-/kit}"
exec .ci/python -m harness.classroom.one_submission --exercise @EX@ --format prairielearn \
  --file "$grade/results/results.json" "$grade/student"
