-- case: boxes by their area, over samples
-- ids: c1
has_object('car', min_area => 850)
-- case: an area between two
-- ids: a1
has_object('car', min_area => 50, max_area => 100)
-- case: an area that depends on the sample
-- ids: a1
has_object('car', min_area => lux * 1000, max_share => 1)
-- case: a label that depends on the sample
-- ids: 
has_object(label)
-- case: an argument's own names are the sample's, not the box's
-- ids: c1
has_object(CASE label WHEN 'blue' THEN 'car' END)
-- case: words inside an argument
-- ids: a1
has_object('car', max_area => count_objects('car') * 50)
-- case: a small share of the image
-- ids: c1
has_object(max_share => 0.1)
-- case: a large share of the image
-- ids: a1, c1
has_object('car', min_share => 0.5, max_share => 0.7)
-- case: a wide box
-- ids: a1
has_object(min_ratio => 2)
-- case: width and height in pixels
-- ids: a1, c1
has_object(min_width => 30, max_height => 30)
-- case: a box whose score is known and low
-- ids: a1
has_object(max_score => 0.5)
-- case: in the left half, by the centre
-- ids: a1, c1
has_object('car', inside => [0, 0, 0.5, 1])
-- case: in the lower half
-- ids: a1, a2, c1
has_object(inside => [0, 0.7, 3, 0.3])
-- case: an attribute that is text
-- ids: a2, c1
has_object(attributes => {'pose': 'Left'})
-- case: an attribute that is a number
-- ids: c1
has_object(attributes => {truncated: 1})
-- case: an attribute that is true
-- ids: c1
has_object('person', attributes => {crowded: true})
-- case: two attributes of one box
-- ids: a2
has_object(attributes => {'pose': 'Left', 'truncated': 0})
-- case: an attribute that is not there
-- ids: a1
has_object('car', attributes => {pose: NULL})
-- case: a detector's boxes
-- ids: a1, b1
has_object('car', model => 'd1')
-- case: a detector's confident boxes
-- ids: a1
count_objects(model => 'd1', min_score => 0.75) = 2
-- case: more boxes predicted than annotated
-- ids: a1, b1
count_objects(model => d1) > count_objects()
-- case: found by one
-- ids: a1, a2
has_object(found_by => 'd1')
-- case: found by one and missed by another
-- ids: a1, a2
has_object(found_by => 'd1', missed_by => 'd2')
-- case: found by both
-- ids: a1
has_object(found_by => ['d1', 'd2'])
-- case: found at a stricter overlap
-- ids: a1
has_object(found_by => d1, iou => 0.92)
-- case: found with confidence
-- ids: a1
has_object(found_by => 'd1', confidence => 0.75)
-- case: missed counts what is found without confidence
-- ids: a2, c1
has_object(missed_by => 'd1', confidence => 0.75)
-- case: small, missed, in the fog
-- ids: c1
has_object('person', missed_by => 'd1', max_share => 0.1) AND weather = 'foggy'
-- case: a sample that a detector has not seen is null
-- ids: c1
NOT has_object(missed_by => d2)
-- case: boxes of two detectors overlap
-- ids: a1
any_iou(d1, d2)
-- case: boxes that overlap a little, whatever their labels
-- ids: a1, a2
any_iou('d1', 'd2', min_iou => 0.1, same_label => false)
-- case: no boxes of two detectors overlap
-- ids: a2, c1
NOT any_iou(d1, d2)
-- case: against the ground truth
-- ids: a1, c1
any_iou(d2)
-- case: ground truth by its name
-- ids: a1, c1
any_iou(objects, d2)
-- case: overlaps of one label
-- ids: c1
any_iou(d2, label => 'person')
-- case: a box that two boxes of one detector claim
-- ids: a1
any_iou(d1, d1, min_iou => 0.8)
-- case: overlap of confident boxes
-- ids: a1
any_iou(d1, d2, min_score => 0.85)
-- case: ordered by the best overlap
-- ids: a1, a2, b1, c1, a3, b2, b3, c2, c3, d1
ORDER BY best_iou(d1) DESC NULLS LAST
-- case: meaning, boxes and a model
-- ids: a1
matches('red') AND has_object('car') AND m1.correct
-- case: inside a slice of a join
-- ids: a1
id IN (SELECT id FROM objects WHERE ratio = 2)
-- case: boxes as samples, each once
-- ids: a1, c1
SELECT id FROM objects WHERE label = 'car'
-- case: boxes ordered by how well they were found
-- ids: a1
SELECT id FROM objects WHERE d1.found ORDER BY d1.iou DESC LIMIT 2
-- case: all boxes
-- rows: [["a1", 1, "car", 100.0], ["a1", 2, "car", 800.0], ["a2", 1, "person", 300.0], ["c1", 1, "car", 900.0], ["c1", 2, "person", 100.0]]
SELECT id AS sample, index, label, area FROM objects
-- case: place and shape of a box
-- rows: [[30.0, 30.0, 0.2143, 0.75, 0.6429, 1.0]]
SELECT w, h, cx, cy, share, ratio FROM objects WHERE area = 900
-- case: boxes by label
-- rows: [["car", 3, 600.0], ["person", 2, 200.0]]
SELECT label, count(*), avg(area) FROM objects GROUP BY ALL ORDER BY ALL
-- case: attributes are JSON
-- rows: [["Left", 2], ["Rear", 1]]
SELECT attributes->>'pose' AS pose, count(*) FROM objects WHERE attributes IS NOT NULL GROUP BY ALL ORDER BY ALL
-- case: a box found by one and missed by the other
-- rows: [["a1", 2], ["a2", 1]]
SELECT id AS sample, index FROM objects WHERE d1.found AND NOT d2.found
-- case: what a detector said of a box
-- rows: [[true, 0.9, 0.9, 1, "car"], [true, 0.9512, 0.8, 2, "car"], [true, 0.8, 0.7, 1, "person"], [false, null, null, null, null], [false, null, null, null, null]]
SELECT d1.found, d1.iou, d1.score, d1.detection, d1.prediction FROM objects
-- case: the sample's columns without a join
-- rows: [["a1", "sunny"], ["a1", "sunny"]]
SELECT id AS sample, samples.weather FROM objects WHERE samples.width < 15
-- case: a model's column of the sample
-- rows: [[2, 3.0]]
SELECT count(*), max(d1.fp) FROM objects WHERE m1.loss < 0.2 AND label = 'car' AND id = 'a1'
-- case: a detector's own column, named through samples
-- rows: [[3]]
SELECT DISTINCT samples.d1.fp FROM objects WHERE id = 'a1'
-- case: boxes joined with their samples
-- rows: [["a1", true], ["a1", true], ["a2", true]]
SELECT s.id AS sample, d1.found FROM samples s JOIN objects o USING (key) WHERE s.label = 'red' ORDER BY s.id, o.index
-- case: meaning over boxes
-- rows: [["person", 1]]
SELECT label, count(*) FROM objects WHERE matches('red') AND NOT in_split('train') AND has_tag('rain') GROUP BY ALL
-- case: words over boxes
-- rows: [["car", 1]]
SELECT label, count(*) FROM objects o WHERE has_object('person') AND o.label = 'car' GROUP BY ALL
-- case: a detector's boxes and what became of them
-- rows: [["a1", 1, true, 0.9, 1], ["a1", 2, true, 0.9512, 2], ["a1", 3, false, null, null], ["a2", 1, true, 0.8, 1], ["a3", 1, null, null, null], ["b1", 1, false, null, null]]
SELECT id AS sample, index, tp, iou, object FROM d1.objects
-- case: precision at a score
-- rows: [[0.75]]
SELECT avg(tp::INT) FROM d1.objects WHERE score >= 0.6
-- case: boxes at another overlap
-- rows: [[1]]
SELECT count(*) FROM d1.objects(iou => 0.92) AS d WHERE d.tp
-- case: outcomes
-- rows: [["fn", 2], ["fp", 2], ["tp", 3]]
SELECT outcome, count(*) FROM d1.matches GROUP BY ALL ORDER BY ALL
-- case: outcomes at another overlap
-- rows: [["fn", 4], ["fp", 4], ["tp", 1]]
SELECT outcome, count(*) FROM d1.matches(iou => 0.92) GROUP BY ALL ORDER BY ALL
-- case: what is unsure is missed
-- rows: [["fn", 2], ["tp", 3]]
SELECT outcome, count(*) FROM d1.matches(confidence => 0.7) GROUP BY ALL ORDER BY ALL
-- case: kinds of mistakes
-- rows: [["wrong class", "person", 1]]
SELECT mistake, about, count(*) FROM d2.matches WHERE mistake = 'wrong class' GROUP BY ALL
-- case: a wrong label is a pair when labels do not count
-- rows: [["person", "dog", 1.0]]
SELECT label, prediction, iou FROM d2.matches(same_label => false) WHERE label <> prediction
-- case: small and missed by label
-- rows: [["person", 1]]
SELECT label, count(*) FROM d1.matches WHERE outcome = 'fn' AND share < 0.1 GROUP BY ALL
-- case: a relation of boxes by its whole name
-- rows: [["car", 0.3], ["car", 0.6]]
SELECT d1.matches.label, d1.matches.score FROM d1.matches WHERE d1.matches.outcome = 'fp' ORDER BY 2
-- case: samples of matches
-- rows: [["sunny", 4], ["foggy", 2], ["rainy", 1]]
SELECT samples.weather, count(*) n FROM d1.matches WHERE samples.label <> 'red' OR outcome <> 'fn' GROUP BY ALL ORDER BY n DESC
-- case: pairs of two detectors
-- rows: [["a1", 1, 1]]
SELECT a.id AS sample, a.index, b.index FROM d1.objects a JOIN d2.objects b ON a.key = b.key AND a.object = b.object
-- case: a CTE named objects
-- rows: [[1]]
WITH objects AS (SELECT 1 AS x) SELECT x FROM objects
-- case: columns by the position of names
-- rows: [["a1", 3]]
SELECT a, count(*) FROM d1.objects AS d(a) GROUP BY a HAVING count(*) > 1
-- case: boxes in a lateral count
-- rows: [["a1", 2], ["a2", 1]]
SELECT s.id AS sample, n FROM samples s, LATERAL (SELECT count(*) n FROM objects o WHERE o.key = s.key) WHERE n > 0 AND s.label = 'red' ORDER BY ALL
-- case: a count in a filter of an aggregate
-- rows: [["blue", 1], ["green", 0], ["red", 1], [null, 0]]
SELECT label, count(*) FILTER (has_object('car')) FROM samples GROUP BY 1 ORDER BY 1
-- case: objects of quarantined samples are there with their status
-- rows: [[5]]
SELECT count(*) FROM objects WHERE samples.status IS NOT NULL
-- case: an option of has_object that is not there
-- error: BindError 1:31 '5'
-- hint: did you mean 'min_area'
has_object('car', min_aria => 5)
-- case: a model without boxes
-- error: BindError 1:6 'm1'
-- hint: only detectors have them
FROM m1.objects
-- case: an unknown detector
-- error: BindError 1:31 ''d9''
-- hint: models: d1, d2, m1, m2
has_object('car', found_by => 'd9')
-- case: an unknown relation of a model
-- error: BindError 1:6 'd1'
-- hint: did you mean 'd1.objects'
FROM d1.object
-- case: an unknown option of matches
-- error: BindError 1:23 '0.4'
-- hint: did you mean 'iou'
FROM d1.matches(io => 0.4)
-- case: an option of matches without a name
-- error: BindError 1:17 '0.4'
-- hint: d1.matches(iou => 0.5, same_label => true, confidence => 0)
FROM d1.matches(0.4)
-- case: an overlap that cannot be
-- error: BindError 1:6
-- hint: at most 1
FROM d1.matches(iou => 3)
-- case: a confidence that cannot be
-- error: BindError 1:6
-- hint: confidence => 0) is the default
FROM d1.matches(confidence => 3)
-- case: an overlap that is no number
-- error: BindError 1:24 ''x''
-- hint: number written out
FROM d1.matches(iou => 'x')
-- case: iou without a detector
-- error: BindError 1:26 '0.4'
-- hint: add found_by or missed_by
has_object('car', iou => 0.4)
-- case: found_by over a detector's boxes
-- error: BindError 1:46 ''d2''
-- hint: leave out model
has_object('car', model => 'd1', found_by => 'd2')
-- case: a place of one number
-- error: BindError 1:29
-- hint: left half
has_object('car', inside => [1])
-- case: attributes that are none
-- error: BindError 1:33 '5'
-- hint: pose
has_object('car', attributes => 5)
-- case: an attribute from a column
-- error: BindError 1:39 'label'
-- hint: a text, a number
has_object('car', attributes => {'a': label})
-- case: an area that is text
-- error: BindError 1:31 ''abc''
has_object('car', min_area => 'abc')
-- case: any_iou of a classifier
-- error: BindError 1:9 'm1'
-- hint: only detectors
any_iou(m1)
-- case: an overlap beyond one
-- error: BindError 1:28 '2'
-- hint: any_iou(model
any_iou(d1, d2, min_iou => 2)
-- case: same_label that is a number
-- error: BindError 1:31 '1'
any_iou(d1, d2, same_label => 1)
-- case: a column of boxes that is not there
-- error: BindError 1:20 'aria'
-- hint: did you mean 'area'
SELECT id, objects.aria FROM objects
-- case: a column of a detector's boxes that is not there
-- error: BindError 1:19 'tpp'
-- hint: did you mean 'tp'
SELECT d1.objects.tpp FROM d1.objects
-- case: a sample's column in a FROM of boxes
-- error: BindError 1:8 'weather'
-- hint: write samples.weather
SELECT weather FROM objects
-- case: a sample's column that is not there
-- error: BindError 1:16 'wether'
-- hint: did you mean 'weather'
SELECT samples.wether FROM objects
-- case: two relations of boxes without samples
-- error: BindError 1:67
-- hint: JOIN samples USING (key)
SELECT a.id FROM d1.objects a JOIN d2.objects b USING (key) WHERE m1.loss > 1
-- case: objects takes no options
-- error: SandboxError 1:6
FROM objects(iou => 0.4)
-- case: what a detector says of a box needs boxes
-- error: BindError 1:11 'found'
SELECT d1.found FROM samples
-- case: a figure without a name is shown
-- rows: [["red", 2, 0.9512]]
SELECT label, count_objects('car'), best_iou(d1) FROM samples WHERE key IN (SELECT key FROM m1 WHERE id = 'a1')
-- case: a figure outside of its group
-- error: BindError 1:49 'count_objects'
-- hint: This value must appear in the GROUP BY clause
SELECT label FROM objects GROUP BY label HAVING count_objects() > 1
-- case: a lambda with an arrow
-- ids: a1, c1
list_contains(list_transform(objects, o -> o.label), 'car')
-- case: an arrow into JSON
-- ids: c1
(objects[1].attributes -> '$.truncated')::INT = 1
-- case: a share of boxes found
-- rows: [["car", 0.6667], ["person", 0.5]]
SELECT label, avg(d1.found) FROM objects GROUP BY ALL ORDER BY label
