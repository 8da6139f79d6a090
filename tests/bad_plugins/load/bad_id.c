/* DEFECT: an id that is not UTF-8. COST: the file is not loaded. */
#define PLUGIN_ID "org.\xff\xfe"
#include "../sound.h"
