-- case: a lasso; the last corner is joined with the first
-- ids*: a1, a2
in_map('flat', [[-0.5, -0.5], [1.5, -0.5], [1.5, 0.5], [-0.5, 0.5]])
-- case: a lasso by its other direction, with signs and powers
-- ids*: a1, a2
in_map('flat', [[-0.5, +0.5], [1.5, 0.5], [15e-1, -0.5], [-(0.5), -5e-1]])
-- case: where the outline crosses itself, what is enclosed twice is outside
-- ids*: a2
in_map('flat', [[-1, -1], [3, -1], [3, 3], [-1, 3], [-1, -1], [-0.5, -0.5], [0.5, -0.5], [0.5, 3], [-0.5, 3]])
AND map_y('flat') < 1
-- case: a lower left edge is inside and an upper right one is not, so that neighbours share nothing
-- rows: [[1, 0], [0, 1]]
SELECT count(*) FILTER (WHERE in_map('flat', [[0, 0], [1, 0], [1, 1], [0, 1]])) AS one,
       count(*) FILTER (WHERE in_map('flat', [[1, 0], [2, 0], [2, 1], [1, 1]])) AS next
FROM samples WHERE id IN ('a1', 'a2') GROUP BY id = 'a2' ORDER BY next
-- case: a sample without a point is neither inside nor outside
-- ids*: b3, c2, c3, d1
in_map('flat', [[-9, -9], [9, -9], [0, 9]]) IS NULL
-- case: outside
-- ids*: a3, b1, b2, c1
NOT in_map('flat', [[-0.5, -0.5], [1.5, -0.5], [1.5, 0.5], [-0.5, 0.5]])
-- case: with other conditions, ordered by meaning
-- ids: a2, a1
in_map('flat', [[-0.5, -0.5], [1.5, -0.5], [1.5, 0.5]]) OR id = 'a1' ORDER BY map_x('flat') DESC LIMIT 2
-- case: in an aggregate, and a map by another case
-- rows: [["green", 1], ["red", 2]]
SELECT label, count(*) FROM samples WHERE in_map('FLAT', [[-1, -1], [1.5, -1], [1.5, 1.5], [-1, 1.5]])
GROUP BY ALL ORDER BY ALL
-- case: the coordinates; NULL without a point
-- rows: [["c1", -1.0, -2.5], ["d1", null, null]]
SELECT id AS name, map_x('flat'), map_y('flat') FROM samples WHERE id IN ('c1', 'd1') ORDER BY ALL
-- case: beside boxes of the sample
-- rows: [["car", 0.0, true], ["car", 0.0, true]]
SELECT o.label, map_x('flat'), in_map('flat', [[-1, -1], [1, -1], [1, 1], [-1, 1]]) FROM objects o WHERE o.id = 'a1'
-- case: a polygon on one line encloses nothing
-- ids:
in_map('flat', [[0, 0], [1, 0], [2, 0]])
-- case: no such map
-- error: BindError 1:8 ''flot'' did you mean
in_map('flot', [[0, 0], [1, 0], [0, 1]])
-- case: a polygon of two points
-- error: BindError 1:16 '[[0, 0], [1, 1]]' at least three
in_map('flat', [[0, 0], [1, 1]])
-- case: a polygon of two points, one of them twice
-- error: BindError 1:16 '[[0, 0], [1, 1], [0, 0]]' 2 corners
in_map('flat', [[0, 0], [1, 1], [0, 0]])
-- case: an empty polygon
-- error: BindError 1:16 '[]' 0 corners
in_map('flat', [])
-- case: a corner of three numbers
-- error: BindError 1:25 '[1, 1, 1]' no pair
in_map('flat', [[0, 0], [1, 1, 1], [0, 1]])
-- case: a list of numbers, not of corners
-- error: BindError 1:17 '0' no pair
in_map('flat', [0, 0, 1, 1])
-- case: a corner that is not a number
-- error: BindError 1:29 ''nan'' finite
in_map('flat', [[0, 0], [1, 'nan'], [0, 1]])
-- case: a corner that is not finite
-- error: BindError 1:29 '1e999' finite
in_map('flat', [[0, 0], [1, 1e999], [0, 1]])
-- case: a corner of a column
-- error: BindError 1:26 'width' finite
in_map('flat', [[0, 0], [width, 1], [0, 1]])
-- case: a text for a polygon
-- error: BindError 1:16 ''all'' list of corners
in_map('flat', 'all')
-- case: a map without a polygon
-- error: BindError 1:1 'in_map('flat')' 1 argument
in_map('flat')
-- case: one of several maps
-- error: BindError 1:1 'map_x()' name one
map_x() > 0
-- case: a coordinate is no condition
-- error: ParseError 1:1 'map_x' compare it
map_x('flat')
