/* DEFECT: a schema that would have to be fetched. COST: the file is not loaded; nothing is
 * fetched. */
#define SCHEMA "{\"$ref\": \"http://example.com/schema\"}"
#include "../sound.h"
