/* DEFECT: a schema that is defined as itself, so that checking a configuration would never end.
 * COST: the file is not loaded. */
#define SCHEMA                                                 \
  "{\"properties\": {\"a\": {\"$ref\": \"#/definitions/a\"}}," \
  " \"definitions\": {\"a\": {\"allOf\": [{\"$ref\": \"#/definitions/a\"}]}}}"
#include "../sound.h"
