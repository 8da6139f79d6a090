/* DEFECT: a text that is no address. COST: the file is not loaded. */
#include <mfn/plugin.h>
#define SUMMARY (const char*)(uintptr_t)4097
#include "../sound.h"
