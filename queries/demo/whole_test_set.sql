/*
slice: whole_test_set
description: The one number everybody looks at
expect:
  - accuracy >= 80%
*/
split = 'test'
