#!/bin/sh -e
# Testing models in production. Run it again each week: WEEK=week2 sh 4_production.sh. Needs bucket/, which keeps filling;
# once before: slicedb model add light light.py:build.

slicedb ingest bucket/ --commit "$WEEK"
slicedb embed
slicedb "matches('a bowl of soup') ORDER BY similarity('a bowl of soup') DESC LIMIT 20" -o soup.html
slicedb slice add soups "matches('a bowl of soup')" --holdout 50% --expect "accuracy >= 0.2" --replace
slicedb test --model light --html "report-$WEEK.html"
slicedb export soups "soups-$WEEK/"
