"""Every keyword of JSON Schema, in closed lists by what the compiler does with it.

A keyword in none of the lists is no keyword of any draft: it is an annotation,
as the specification says.  `docs/structured-output.md` is made of these lists.
"""

from __future__ import annotations

EXACT = {
    "type": "a name or a list of names",
    "enum": "values of any type",
    "const": "a value of any type",
    "properties": "in any order where there are at most four, otherwise in the order in which they are declared",
    "required": "also names that are not declared",
    "additionalProperties": "with the names of `properties` and `patternProperties` taken out by an automaton",
    "patternProperties": "overlapping patterns included",
    "propertyNames": "",
    "maxProperties": "",
    "dependentRequired": "",
    "dependentSchemas": "",
    "dependencies": "both forms",
    "items": "a schema, or in older drafts a list",
    "prefixItems": "",
    "additionalItems": "",
    "unevaluatedItems": "",
    "unevaluatedProperties": "",
    "minItems": "",
    "maxItems": "",
    "contains": "",
    "minContains": "",
    "maxContains": "",
    "minLength": "in code points",
    "maxLength": "in code points",
    "pattern": "ECMA-262, found anywhere in the text; with `^`, `$`, look-ahead and `\\p{…}`",
    "anyOf": "",
    "allOf": "by intersection",
    "oneOf": "by disjointness, or by taking the other alternatives away",
    "not": "by complement",
    "if": "",
    "then": "",
    "else": "",
    "$ref": "within the document: by pointer, `$id`, `$anchor`; recursive",
    "$dynamicRef": "where the document has only one such `$dynamicAnchor`",
    "$recursiveRef": "where it can mean only one place",
}
FROM_BELOW = {
    "minimum": "numbers without an exponent, of a bounded number of digits",
    "maximum": "numbers without an exponent, of a bounded number of digits",
    "exclusiveMinimum": "like `minimum`; the boolean of draft-04 as well",
    "exclusiveMaximum": "like `maximum`; the boolean of draft-04 as well",
    "multipleOf": "numbers without an exponent; the divisor must leave at most 2,000 remainders",
    "uniqueItems": "a few possible values exactly; texts must differ in one of their first 24 characters, the same for"
    " all, and come in ascending or descending order of that; other scalars, texts under a constraint, and texts of"
    " which two must be there likewise in their first; objects in one of their declared members; of arrays, one",
    "minProperties": "several additional properties, at most four, are told apart by how their names begin",
    "format": "the formats below; an unknown name is an annotation",
}
ANNOTATIONS = frozenset(
    "$schema $id id $anchor $dynamicAnchor $recursiveAnchor $vocabulary $comment $defs definitions title description "
    "default examples example deprecated readOnly writeOnly contentEncoding contentMediaType contentSchema".split()
)
REFUSED = {
    "disallow": "draft-03",
    "extends": "draft-03",
    "divisibleBy": "draft-03",
}
