/*
slice: fork_on_the_table
description: A fork beside the plate should not change what the food is
expect:
  - accuracy >= 85%
  - accuracy no worse than baseline by 0.02
*/
split = 'test' AND cutlery = 'fork'
