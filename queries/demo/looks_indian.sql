/*
slice: looks_indian
description: The same desserts found by text alone, for pictures nobody annotated
expect:
  - count >= 30
*/
split = 'test' AND label = 'Dessert' AND matches('a dessert from Indian cuisine')
