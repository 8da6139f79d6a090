/* DEFECT: the entry symbol is absent. COST: the file is not loaded. */
#define ENTRY
#include "../sound.h"
MFN_EXPORT const void* some_other_function(void);
const void* some_other_function(void) { return &plugin; }
