/*
slice: no_fork
description: Everything without a fork, to see that only the fork is to blame
expect:
  - accuracy >= 80%
  - accuracy no worse than baseline by 0.02
*/
split = 'test' AND NOT in_slice('fork_on_the_table')
