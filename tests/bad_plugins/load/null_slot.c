/* DEFECT: a slot that is required is NULL; built once for each, which -DSLOT=NULL on the command
 * line names. COST: the file is not loaded. */
#include "../sound.h"
