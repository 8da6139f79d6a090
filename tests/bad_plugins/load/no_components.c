/* DEFECT: the list of components is NULL. COST: the file is not loaded. */
#define COMPONENTS NULL, 0
#include "../sound.h"
