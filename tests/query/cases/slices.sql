-- case: a live slice
-- ids: a1, a2, a3
in_slice('reds')
-- case: a slice and a predicate
-- ids: a3
in_slice('reds') AND NOT m1.correct
-- case: not in a slice
-- ids: b1, b2, b3, c1, c2, c3, d1
NOT in_slice('reds')
-- case: slices of slices
-- ids: a3
in_slice('wrong_reds')
-- case: a slice of meaning
-- ids: a1, a2
in_slice('reddish')
-- case: a slice of meaning with meaning
-- ids: a2
in_slice('reddish') AND similarity('green') > 0.1
-- case: a slice with an order and a limit
-- ids: a3, c2
in_slice('top_two')
-- case: a slice that is a select
-- ids: c1, c2, c3
in_slice('listed')
-- case: a frozen slice
-- ids: a1, b2
in_slice('held')
-- case: frozen and live
-- ids: a1
in_slice('held') AND in_slice('reds')
-- case: a slice named like a CTE sees the real samples
-- rows: [[1]]
WITH samples AS (SELECT * FROM samples WHERE id IN ('a1', 'b1')) SELECT count(*) FROM samples WHERE id IN (SELECT id FROM m1 WHERE id = 'a1')
-- case: a slice inside an aggregate
-- rows: [["red", 1], ["green", 1], ["blue", 1], [null, 0]]
SELECT label, count(*) FILTER (in_slice('wrong')) FROM samples GROUP BY label ORDER BY min(id)
-- case: tags
-- ids: a1, a2
has_tag('night')
-- case: no tags is false, not null
-- ids: a1, a3, b1, b2, b3, c1, c3, d1
NOT has_tag('rain')
-- case: splits
-- ids: a1, b1, c1
in_split('train')
-- case: no split is false, not null
-- ids: a2, a3, b2, b3, c2, c3, d1
NOT in_split('train')
-- case: an object
-- ids: a1, c1
has_object('car')
-- case: an object by its area
-- ids: c1
has_object('car', min_area => 850)
-- case: an object by area and score
-- ids: a1
has_object('car', min_area => 50, max_area => 100, min_score => 0.5)
-- case: a tall object
-- ids: a2, c1
has_object('person', max_ratio => 0.5)
-- case: counting objects
-- ids: a1
count_objects('car') > 1
-- case: counting all objects
-- ids: a1, c1
count_objects() = 2
-- case: no objects is zero, unknown objects are null
-- ids: b1
count_objects() = 0
-- case: unknown objects are not "without"
-- ids: a2, b1
NOT has_object('car')
-- case: a computed label
-- ids: a1, c1
has_object(lower('CAR'))
-- case: plain lambdas over objects
-- ids: a2, c1
len(list_filter(objects, lambda o: o.label = 'person')) > 0
